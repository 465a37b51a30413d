"""From parts to one list of passes: copies, re-stamped days, repeated ids and shared days."""

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from etl import pipeline
from etl.params import EtlParams
from kakou.errors import BadInputError

PARAMS = EtlParams()
HEADER = "GCXH,XZQHMC,KKMC,FXLX,GCSJ,HPZL,HPHM,CLPPXH\n"
GATE, OTHER = "徐州市丰县鹿梁路K19丰县梁寨检查站市际卡口", "徐州市丰县G518518国道K358马楼公路站省际卡口"


def one(gcxh, time, plate="苏C12345", gate=GATE, brand="大众", kind="02"):
    return f"{gcxh},丰县,{gate},1,{time},{kind},{plate},{brand}\n"


def day(number, count=300, first_id=0, like=None, **more):
    """``count`` passes of 2023-12-<number>, each at its own second, with the plates of day ``like``."""
    return "".join(
        one(first_id + n, f"2023-12-{number:02d} {n // 60 % 24:02d}:{n % 60:02d}:{n * 7 % 60:02d}",
            plate=f"苏{'ABCDEFGHJKLMNPQRSTUVWXYZ'[(like or number) % 24]}{10000 + n}", **more)
        for n in range(count)
    )  # fmt: skip


@pytest.fixture
def merged(tmp_path):
    """Writes raw files, merges them and returns (rows as tuples with SOURCE and ORIGIN, report counts)."""

    def run(files, params=PARAMS):
        raw, out = tmp_path / "raw", tmp_path / "out"
        for name, text in files.items():
            (raw / name).parent.mkdir(parents=True, exist_ok=True)
            (raw / name).write_text(HEADER + text, encoding="utf-8")
        planned = pipeline.plan(raw, out, params)
        pipeline.merge_days(out, planned.to_merge)
        counts = pipeline.merge(out, params)
        rows = duckdb.sql(
            f"SELECT GCXH, GCSJ::VARCHAR, HPHM, ORIGIN, SOURCE FROM '{out}/merged_data.parquet'"
        ).fetchall()
        assert [(row[1], row[0]) for row in rows] == sorted((row[1], row[0]) for row in rows)
        assert len({row[0] for row in rows}) == len(rows) == counts["rows_kept"]
        rejected = sum(n for reason, n in counts["rejected"].items() if not reason.startswith("file_"))
        assert counts["rows_read"] + counts["rows_of_earlier_runs"] == (
            counts["rows_kept"] + counts["rows_duplicate"] + rejected + counts["rows_outside_range"]
        )
        return rows, counts, planned, out

    return run


def test_a_day_of_one_file_is_taken_as_it_lies(merged):
    rows, _, planned, _ = merged({"a.csv": day(3, 20) + day(1, 20, 100), "b.csv": day(2, 20, 200)})
    assert planned.to_merge == []
    assert [row[1][:10] for row in rows] == ["2023-12-01"] * 20 + ["2023-12-02"] * 20 + ["2023-12-03"] * 20
    assert rows[0][4] == "a.csv:22" and rows[20][4] == "b.csv:2"


def test_a_day_in_two_files_is_merged(merged):
    evening = one("8", "2023-12-01 23:00:00", plate="苏C00008")
    rows, _, planned, _ = merged({"a.csv": day(1, 30) + evening, "b.csv": day(1, 30, 100, gate=OTHER)})
    assert planned.to_merge == ["2023-12-01"]
    assert len(rows) == 60 and rows[-1][0] == "29", "the later row of the repeated id 8 is no pass of its own"


def test_byte_and_content_copies_are_named_and_counted(merged):
    text = day(1, 50)
    backwards = "".join(reversed(text.splitlines(keepends=True)))
    rows, counts, _, _ = merged({"a.csv": text, "b.csv": text, "c.csv": backwards})
    assert {file["name"]: file["copy_of"] for file in counts["files"]} == {
        "a.csv": None, "b.csv": "a.csv", "c.csv": "a.csv",
    }  # fmt: skip
    assert counts["rows_duplicate"] == 100 and {row[4][:5] for row in rows} == {"a.csv"}


def test_a_restamped_day_with_new_ids_is_kept_marked_and_named(merged):
    new = one("999", "2023-12-18 23:59:01", plate="苏C99999")
    rows, counts, _, _ = merged({"17.csv": day(17), "18.csv": day(18, first_id=5000, like=17) + new})
    assert [(r["file"], r["day"], r["of_day"]) for r in counts["restamped"]] == [
        ("18.csv", "2023-12-18", "2023-12-17")
    ]
    origins = {row[0]: row[3] for row in rows}
    assert len(rows) == 601 and origins["999"] == "observed"
    # A row at 00:00:00 has no time of day and cannot be told from any other of its kind.
    copied = [gcxh for gcxh, origin in origins.items() if origin == "copied"]
    assert all(int(gcxh) >= 5000 for gcxh in copied) and len(copied) >= 299


def test_a_restamped_day_with_the_old_ids_is_dropped_and_named(merged):
    # The copy's name sorts first; the earlier day is the original all the same.
    rows, counts, _, _ = merged({"z/1217.csv": day(17), "a/1218.csv": day(18, like=17)})
    assert {row[1][:10] for row in rows} == {"2023-12-17"}
    assert counts["rows_duplicate"] == 300 and counts["rejected"] == {}
    assert [one["file"] for one in counts["restamped"]] == ["a/1218.csv"]


def test_one_id_with_two_payloads_is_set_aside_with_both_places(merged):
    files = {
        "a.csv": one("1", "2023-12-01 10:00:00") + one("2", "2023-12-01 11:00:00"),
        "b.csv": one("1", "2023-12-01 10:00:05", plate="鲁Q54321", gate=OTHER),
    }
    rows, counts, _, out = merged(files)
    assert counts["rejected"] == {"id_conflict": 1}
    assert [row[2] for row in rows] == ["苏C12345", "苏C12345"]
    line = json.loads((out / "rejected" / "repeated_ids.jsonl").read_text(encoding="utf-8"))
    assert (line["file"], line["row"], line["kept"], line["reason"]) == ("b.csv", 2, "a.csv:2", "id_conflict")
    assert "鲁Q54321" in line["text"]


def test_a_masked_plate_is_completed_by_the_same_pass_exported_whole(merged):
    masked = "苏C12***"
    files = {
        "a.csv": one("1", "2023-12-01 10:00:00", masked) + one("2", "2023-12-01 10:00:00", masked),
        "b.csv": one("1", "2023-12-01 10:00:00") + one("2", "2023-12-01 10:00:00", "苏A12345"),
    }  # fmt: skip
    rows, counts, _, _ = merged(files)
    assert {row[0]: row[2] for row in rows} == {"1": "苏C12345", "2": "苏C12***"}
    assert (counts["rows_duplicate"], counts["rejected"]) == (1, {"id_conflict": 1})


def test_only_the_days_asked_for_are_built_and_the_others_stay(merged, tmp_path):
    files = {"a.csv": day(1, 30) + day(2, 30, 100), "b.csv": day(3, 30, 200)}
    before, *_ = merged(files)
    # Day 2 is delivered again, with more passes, and with an id that day 3 holds already.
    more = day(2, 40, 100) + one("200", "2023-12-02 23:59:59", plate="苏C55555")
    (tmp_path / "raw" / "a.csv").unlink()
    days = EtlParams(first_day=date(2023, 12, 2), last_day=date(2023, 12, 2))
    after, counts, planned, _ = merged({"c.csv": more, "d.csv": day(7, 5, 900)}, days)
    assert [row for row in after if row[1][:10] != "2023-12-02"] == [
        row for row in before if row[1][:10] != "2023-12-02"
    ]
    second = [row for row in after if row[1].startswith("2023-12-02")]
    assert len(second) == 40 and {row[4][:5] for row in second} == {"c.csv"}
    assert planned.partial and counts["rows_of_earlier_runs"] == 60
    assert counts["rejected"] == {"id_conflict": 1} and counts["rows_outside_range"] == 30 + 5


def test_a_merged_day_is_made_once_and_made_anew_when_its_files_change(merged, tmp_path):
    _, _, planned, out = merged({"a.csv": day(1, 30), "b.csv": day(1, 30, 100)})
    made = out / "days" / planned.days[0].merged
    stamp = made.stat().st_mtime_ns
    merged({})
    assert made.stat().st_mtime_ns == stamp
    merged({"b.csv": day(1, 31, 100)})
    assert not made.exists(), "what no plan names is removed"


def test_four_hundred_days_in_turn_keep_their_order(merged):
    shared = "".join(one(10_000 + n, f"2023-{1 + n // 28:02d}-{1 + n % 28:02d} 12:00:00") for n in range(330))
    alone = "".join(one(n, f"2023-{1 + n // 28:02d}-{1 + n % 28:02d} 06:00:00") for n in range(0, 330, 2))
    rows, _, planned, _ = merged({"a.csv": shared, "b.csv": alone})
    assert len(planned.days) == 330 and len(planned.to_merge) == 165 and len(rows) == 495


def test_a_day_that_is_not_planned_is_said(merged):
    _, _, _, out = merged({"a.csv": day(1, 5)})
    with pytest.raises(BadInputError, match="no day 2024-05-05"):
        pipeline.merge_days(out, ["2024-05-05"])


def test_a_file_that_cannot_be_opened_is_set_aside_until_it_can(merged, tmp_path, monkeypatch):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "b.csv").write_text(HEADER + day(2, 20, 100), encoding="utf-8")
    opened = Path.open

    def refuse(path, *given, **named):
        if path.name == "b.csv":
            raise PermissionError(13, "Permission denied")
        return opened(path, *given, **named)

    with monkeypatch.context() as closed:
        closed.setattr(Path, "open", refuse)
        rows, counts, _, out = merged({"a.csv": day(1, 20)})
    assert len(rows) == 20 and counts["rejected"] == {"file_not_opened": 1}
    (line,) = [json.loads(one.read_text("utf-8")) for one in (out / "rejected").glob("b.csv*")]
    assert (line["file"], line["reason"], line["text"]) == ("b.csv", "file_not_opened", "Permission denied")
    rows, counts, _, _ = merged({})
    assert len(rows) == 40 and counts["rejected"] == {}
    assert not list((out / "rejected").glob("b.csv*"))


def test_what_one_export_knows_of_a_pass_is_not_lost_to_another_that_does_not(merged):
    at = "2023-12-01 10:00:00"
    files = {
        "a.csv": one("1", at, brand="-", kind="-") + one("2", at, brand="-") + one("3", at) + one("4", at),
        "b.csv": one("1", at) + one("2", at, kind="-") + one("3", at, brand="丰田") + one("4", at, kind="'2"),
    }
    rows, counts, _, out = merged(files)
    assert {row[0]: row[4] for row in rows} == {
        "1": "b.csv:2", "2": "a.csv:3", "3": "a.csv:4", "4": "a.csv:5",
    }  # fmt: skip
    # 1 and 4 say nothing beyond what stays; of 2 each knows one thing, and of 3 they differ.
    assert (counts["rows_duplicate"], counts["rejected"]) == (2, {"id_conflict": 2})
    told = (out / "rejected" / "repeated_ids.jsonl").read_text("utf-8")
    assert "丰田" in told and [json.loads(one)["kept"] for one in told.splitlines()] == ["a.csv:3", "a.csv:4"]


def test_a_range_without_any_day_and_a_wrong_output_folder_are_said(merged, tmp_path):
    with pytest.raises(BadInputError, match="No pass lies between"):
        merged({"a.csv": day(1, 5)}, EtlParams(first_day=date(2030, 1, 1)))
    raw, taken = tmp_path / "raw", tmp_path / "taken"
    with pytest.raises(BadInputError, match="is the raw folder"):
        pipeline.run(raw, raw, PARAMS)
    reports = [pipeline.run(raw, raw / "out", PARAMS) for _ in range(2)]
    assert reports[0] == reports[1] and reports[0]["rows_read"] == 5, "artefacts are no raw files"
    taken.write_text("a file")
    with pytest.raises(BadInputError, match="cannot be written to"):
        pipeline.run(raw, taken, PARAMS)
