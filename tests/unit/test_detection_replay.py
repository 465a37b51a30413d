"""``kakou detect replay`` as a command: its last line, its alerts, its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from gates_in_a_row import DAY_S, drive, honest

from etl.params import EtlParams
from etl.pipeline import run
from kakou.detection.files import demand_writable, read_passes
from kakou.detection.replay import presumed_arrival
from kakou.errors import BadInputError

PASSES = """GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH
1,丰县,A,1,2024-01-15 08:00:10,02,苏C12345,大众牌
2,丰县,B,1,2024-01-15 08:03:40,02,苏C12345,丰田牌
2,丰县,B,1,2024-01-15 08:03:40,02,苏C12345,丰田牌
3,丰县,B,1,2024-01-15 08:03:41,02,苏C12***,丰田牌
4,丰县,B,1,2024-01-15 09:30:00,02,苏C99999,丰田牌
5,丰县,A,1,2024-01-15 08:30:00,02,苏C99999,丰田牌
6,丰县,A,1,,02,苏C99999,丰田牌
"""
GATES = "KKMC,NAME,XZQHMC,LON,LAT\nA,甲卡口,丰县,116.5,34.3\nB,乙卡口,丰县,117.0,34.3\n"


def replay(folder: Path, *more: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    paths = ["--passes", f"{folder}/p.csv", "--gates", f"{folder}/g.csv", "--out", f"{folder}/a.jsonl"]
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", "detect", "replay", *paths, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | (env or {}),
    )


def test_alerts_and_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PASSES, encoding="utf-8-sig")
    (tmp_path / "g.csv").write_text(GATES, encoding="utf-8")
    done = replay(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '{"passes": 7, "withheld": 1, "late": 1, "duplicates": 1}'
    (alert,) = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert (alert["verdict"], alert["hphm"], alert["gap_seconds"]) == ("cloned_plate", "苏C12345", 210)
    assert (alert["first"]["gcxh"], alert["second"]["gcxh"]) == ("1", "2")
    kinds = [one["kind"] for one in alert["evidence"]]
    assert kinds == ["impossible_travel", "brand_differs", "other_vehicle"]
    first = (tmp_path / "a.jsonl").read_bytes()
    assert replay(tmp_path).returncode == 0
    assert (tmp_path / "a.jsonl").read_bytes() == first


def test_a_page_of_evidence_for_each_cloned_plate(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PASSES.replace("1,丰县,A,1", "<1>,丰县,A,1"), encoding="utf-8")
    (tmp_path / "g.csv").write_text(GATES, encoding="utf-8")
    done = replay(tmp_path, "--evidence", f"{tmp_path}/pages")
    assert done.returncode == 0, done.stderr
    (page,) = (tmp_path / "pages").iterdir()
    assert page.name.startswith("苏C12345-")
    text = page.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text.removeprefix("<!doctype html>"))
    words = " ".join(root.itertext())
    assert "套牌嫌疑" in words and "Cloned plate" in words and "<1>" in words and "大众牌" in words
    (alert,) = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    for reason in alert["evidence"]:
        assert reason["text"]["zh"] in words and reason["text"]["en"] in words
    assert f"{alert['min_travel_seconds']:,} s" in words and alert["case_id"] in words
    drawings = root.findall(".//svg")
    assert len(drawings) == 2
    for drawing in drawings:  # one vehicle is a circle, the other a square, at different places
        (square,) = drawing.findall("rect")
        circles = [one for one in drawing.findall("circle") if one.get("fill") != "#bbb"]
        assert len(circles) == 1 and circles[0].get("cx") != square.get("x")


def test_evidence_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PASSES, encoding="utf-8")
    (tmp_path / "g.csv").write_text(GATES, encoding="utf-8")
    done = replay(tmp_path, "--evidence", f"{tmp_path}/p.csv")
    assert done.returncode == 1 and "Name a folder" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "a.jsonl").exists(), "said before the work, not after it"


def test_alerts_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match=r"is a folder. Name a file in it, such as .*alerts.jsonl"):
        demand_writable(tmp_path, None)
    with pytest.raises(BadInputError, match="no folder that you may write to"):
        demand_writable(tmp_path / "file" / "deeper" / "a.jsonl", None)
    demand_writable(tmp_path / "new" / "a.jsonl", tmp_path / "new" / "pages")


def test_history_teaches_travel_times(tmp_path: Path) -> None:
    """Without a place on the map only the history can say that 210 s is too short."""
    (tmp_path / "p.csv").write_text(PASSES, encoding="utf-8")
    (tmp_path / "g.csv").write_text("KKMC,NAME,XZQHMC,LON,LAT\nA,甲,丰县,,\nB,乙,丰县,,\n", encoding="utf-8")
    trips = [
        f"h{n}{gate},丰县,{gate},1,2024-01-0{1 + n % 9} {hour}:00:00,02,苏C{n:05d},大众牌"
        for n in range(40)
        for gate, hour in (("A", "08"), ("B", "09"))
    ]
    (tmp_path / "h.csv").write_text("\n".join([PASSES.splitlines()[0], *trips, ""]), encoding="utf-8")
    assert replay(tmp_path).returncode == 0
    assert (tmp_path / "a.jsonl").read_text("utf-8") == ""
    assert replay(tmp_path, "--history", f"{tmp_path}/h.csv").returncode == 0
    # Every trip of the history took an hour: who needs four fifths less cannot be the same vehicle.
    assert 1800 < json.loads((tmp_path / "a.jsonl").read_text("utf-8"))["min_travel_seconds"] < 3600


def test_passes_that_no_gate_saw_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """A day copied onto another puts a vehicle where it never was."""
    header, *rows = PASSES.splitlines()
    origins = ["observed", "copied", "observed", "observed", "replicated", "observed", "observed"]
    marked = [f"{row},{origin}" for row, origin in zip(rows, origins, strict=True)]
    (tmp_path / "p.csv").write_text("\n".join([f"{header},ORIGIN", *marked, ""]), encoding="utf-8")
    read = read_passes(tmp_path / "p.csv")
    assert read.passes["gcxh"].to_list() == ["1", "2", "3", "5"]
    assert (read.unreadable, read.made_up) == (1, 2)
    everything = read_passes(tmp_path / "p.csv", "all")
    assert (len(everything.passes), everything.unreadable, everything.made_up) == (6, 1, 0)


def test_parquet_of_the_batch_is_read_as_its_csv(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "day.csv").write_text(PASSES, encoding="utf-8")
    run(tmp_path / "raw", tmp_path / "out", EtlParams(max_reject_share=0.5, replicate="15-15:16-16"))
    text, typed = (tmp_path / "out" / f"master_data_cleaned.{kind}" for kind in ("csv", "parquet"))
    assert read_passes(typed, "all").passes.equals(read_passes(text).passes)
    observed = read_passes(typed)
    assert sorted(observed.passes["gcxh"]) == ["1", "2", "3", "4", "5"]
    assert observed.made_up == 5


def test_settings_reach_the_replay(tmp_path: Path) -> None:
    header, *rows = PASSES.splitlines()
    marked = [f"{row},{'copied' if row.startswith('2') else 'observed'}" for row in rows]
    (tmp_path / "p.csv").write_text("\n".join([f"{header},ORIGIN", *marked, ""]), encoding="utf-8")
    (tmp_path / "g.csv").write_text(GATES, encoding="utf-8")
    done = replay(tmp_path)
    assert done.stdout.splitlines()[-1] == '{"passes": 5, "withheld": 1, "late": 1, "duplicates": 0}'
    assert "2 rows were left out: no gate saw them" in done.stderr
    assert (tmp_path / "a.jsonl").read_text("utf-8") == ""
    assert replay(tmp_path, env={"KAKOU_ORIGINS": "all"}).returncode == 0
    assert "cloned_plate" in (tmp_path / "a.jsonl").read_text("utf-8")


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(GATES, encoding="utf-8")
    for content, words in [
        (None, "does not exist"),
        ("", "is empty"),
        ("KKMC\nA\n", "lacks the column GCXH"),
        (PASSES.encode("gb18030"), "cannot be read as a UTF-8 CSV"),
    ]:
        if content is not None:
            (tmp_path / "p.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        done = replay(tmp_path)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert "Traceback" not in done.stderr and not (tmp_path / "a.jsonl").exists()
    for name in ("folder.csv", "folder.parquet"):
        (tmp_path / name).mkdir()
        with pytest.raises(BadInputError, match=r"is a folder\. Name one file in it"):
            read_passes(tmp_path / name)


def test_a_clock_that_is_far_ahead_makes_nobody_else_late() -> None:
    """One gate of eight is ahead by 25 minutes, with some noise: its stamps may not lead each other on."""
    rng = np.random.default_rng(5)
    arrival = np.sort(rng.integers(0, 40_000, 8_000))
    ahead = (rng.random(8_000) < 0.125) * (1500 + rng.normal(0, 300, 8_000))
    stamped = (arrival - rng.exponential(20, 8_000) + ahead).astype(np.int64)
    presumed = presumed_arrival(stamped)[:-1]
    assert np.abs(presumed - arrival[:-1]).max() < 900
    plausible = stamped[:-1] - presumed <= 1200
    newest = np.maximum.accumulate(np.where(plausible, stamped[:-1], 0))
    assert not ((stamped[:-1] < newest - 1800) & plausible).any()


def test_a_new_gate_that_is_not_where_the_registry_says_makes_no_clones(tmp_path: Path) -> None:
    """No history tells of it; without its district nothing tells that its longitude is two degrees off."""
    fields = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH"
    history = [fields]
    for gcxh, gate, plate, t, make in honest(2):
        history.append(f"{gcxh},丰县,{gate},1,{datetime.fromtimestamp(t, UTC):%F %T},02,{plate},{make}")
    day = [fields]
    for number in range(3):
        for gcxh, gate, plate, t, make in drive(
            f"苏CN9{number}8{number}", 3 * DAY_S + 30_000 + 3600 * number
        ):
            day.append(f"{gcxh},丰县,{gate},1,{datetime.fromtimestamp(t, UTC):%F %T},02,{plate},{make}")
            if gate == "B":
                later = datetime.fromtimestamp(t + 240, UTC)
                day.append(f"{gcxh}E,丰县,E,1,{later:%F %T},02,{plate},{make}")
    rows = [f"{gate},{gate},丰县,{117 + 0.3 * n:.1f},34.3" for n, gate in enumerate("ABCD")]
    (tmp_path / "h.csv").write_text("\n".join(history) + "\n", encoding="utf-8")
    (tmp_path / "p.csv").write_text("\n".join(day) + "\n", encoding="utf-8")

    def verdicts(district: str) -> tuple[list[str], str]:
        gates = ["KKMC,NAME,XZQHMC,LON,LAT", *rows, f"E,戊,{district},119.3,34.35", ""]
        (tmp_path / "g.csv").write_text("\n".join(gates), encoding="utf-8")
        done = replay(tmp_path, "--history", f"{tmp_path}/h.csv")
        assert done.returncode == 0, done.stderr
        alerts = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
        return [one["verdict"] for one in alerts], done.stderr

    found, said = verdicts("")
    assert found.count("cloned_plate") == 3 and "Not used" not in said
    found, said = verdicts("丰县")
    assert found == []
    assert (
        "Not used: the place of E on the map: 129 km from D, the nearest of the other gates of 丰县." in said
    )
