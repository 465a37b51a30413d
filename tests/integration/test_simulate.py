"""The simulator as a process: steady, honest over kills and restarts, clones only where they are wanted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import duckdb
import pytest

from etl import pipeline
from etl.generate.raw_folder import generate_raw
from etl.io.pass_log import PassLog, log_files
from etl.params import EtlParams
from kakou.errors import Reject
from kakou.geography import great_circle_km
from kakou.passage import parse_passage
from kakou.settings import load_settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    base = tmp_path_factory.mktemp("clean")
    for name, masked in (("whole", False), ("masked", True)):
        generate_raw(base / "raw" / name, days=3, scale=0.15, masked=masked)
        pipeline.run(base / "raw" / name, base / name, EtlParams())
    return base


@pytest.fixture
def place(clean, tmp_path):
    """Settings of a var folder with the clean passes of a small history."""
    (tmp_path / "clean").symlink_to(clean / "whole")
    return load_settings(_env_file=None, var=tmp_path)


def start(settings, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "kakou.cli", "simulate", "--json", *options],
        env={**os.environ, "KAKOU_VAR": str(settings.var)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1]), err


def passes(settings):
    lines = b"".join(file.read_bytes() for file in log_files(settings.sim_dir / "passes.log"))
    assert lines.endswith(b"\n")
    parsed = [parse_passage(line) for line in lines.splitlines()]
    assert not [one for one in parsed if isinstance(one, Reject)]
    return parsed


def gates(settings):
    rows = duckdb.sql(
        f"SELECT KKMC, LON, LAT FROM read_csv('{settings.clean_dir}/kkmc_dimension.csv')"
    ).fetchall()
    return {name: (lon, lat) for name, lon, lat in rows}


def jumps(settings, seen):
    """Neighbouring passes of a plate at two gates, closer in time than 200 km/h in a straight line."""
    place = gates(settings)
    by_plate = {}
    for one in seen:
        by_plate.setdefault(one.hphm, []).append(one)
    found = []
    for own in by_plate.values():
        for a, b in pairwise(own):
            km = great_circle_km(*place[a.kkmc], *place[b.kkmc])
            if a.kkmc != b.kkmc and (b.gcsj - a.gcsj).total_seconds() < km / 200 * 3600:
                found.append((a, b))
    return found


def wait_for_lines(settings, count):
    until = time.monotonic() + 40
    while time.monotonic() < until:
        if (
            sum(file.read_bytes().count(b"\n") for file in log_files(settings.sim_dir / "passes.log"))
            >= count
        ):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {count} lines after 40 s")


def test_rate_time_ids_and_flags(place):
    counts, _ = finish(start(place, "--rate", "200", "--seconds", "5"))
    seen = passes(place)
    assert len(seen) == counts["rows"] == pytest.approx(1000, rel=0.03)
    assert len({one.gcxh for one in seen}) == len(seen)
    now = datetime.now(ZoneInfo(place.timezone))
    assert abs((now.replace(tzinfo=None) - seen[-1].gcsj).total_seconds()) < 10
    for one in seen:
        assert one.is_weekend == int(one.gcsj.isoweekday() >= 6)
        assert one.is_peak_hour == int(one.gcsj.hour in (7, 8, 17, 18))
    assert len({one.kkmc for one in seen}) >= 10
    assert counts["planted"] == 0 and not (place.sim_dir / "planted.jsonl").exists()


def test_no_vehicle_jumps_over_kills_and_restarts(place):
    # 3,000 a second goes through the history several times, as hours at 50 a second would.
    for n in range(3):
        process = start(place, "--rate", "3000")
        wait_for_lines(place, 6000 * (n + 1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(place, "--rate", "3000", "--seconds", "3"))
    seen = passes(place)
    history = duckdb.sql(f"SELECT count(*) FROM '{place.clean_dir}/master_data_expanded.parquet'").fetchall()[
        0
    ][0]
    assert len(seen) > 3 * history
    assert jumps(place, seen) == []
    assert len({one.gcxh for one in seen}) == len(seen)
    # The check itself must be able to fail: the same log with everybody at a neighbour's gate jumps.
    shuffled = [a.__class__(**{**_fields(a), "kkmc": b.kkmc}) for a, b in pairwise(seen)]
    assert jumps(place, shuffled)


def _fields(one):
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_planted_clones_contradict_and_their_plates_are_not_used_again(place):
    counts, _ = finish(start(place, "--rate", "300", "--seconds", "14", "--clones", "4"))
    planted = [json.loads(line) for line in (place.sim_dir / "planted.jsonl").read_text("utf-8").splitlines()]
    assert counts["planted"] == len(planted) == 4
    seen = {one.gcxh: one for one in passes(place)}
    where = gates(place)
    for clone in planted:
        assert set(clone) == {"hphm", "first_gcxh", "second_gcxh", "first_kkmc", "second_kkmc", "planted_at"}
        first, second = seen[clone["first_gcxh"]], seen[clone["second_gcxh"]]
        assert first.hphm == second.hphm == clone["hphm"]
        assert (first.kkmc, second.kkmc) == (clone["first_kkmc"], clone["second_kkmc"])
        gap = (second.gcsj - first.gcsj).total_seconds()
        km = great_circle_km(*where[first.kkmc], *where[second.kkmc])
        assert km >= 20 and 0 < gap <= 60 and gap < km / 200 * 3600 / 3
        assert first.clppxh.split("-")[0] != second.clppxh.split("-")[0]
        later = [
            one for one in seen.values() if one.hphm == clone["hphm"] and one.gcxh > clone["second_gcxh"]
        ]
        assert later == []
    assert Counter(a.hphm for a, _ in jumps(place, list(seen.values()))) == Counter(
        clone["hphm"] for clone in planted
    )


def test_masked_plates_cannot_be_cloned_and_that_is_said(clean, tmp_path):
    (tmp_path / "clean").symlink_to(clean / "masked")
    settings = load_settings(_env_file=None, var=tmp_path)
    counts, err = finish(start(settings, "--rate", "200", "--seconds", "3", "--clones", "3"))
    assert counts["planted"] == 0 and counts["rows"] > 500
    assert "no clone can be planted" in err


def test_a_second_one_is_refused_and_sigterm_ends_the_first_whole(place):
    first = start(place, "--rate", "500")
    wait_for_lines(place, 100)
    second = start(place, "--seconds", "1")
    _, err = second.communicate(timeout=30)
    assert second.returncode == 1 and "Another `kakou simulate`" in err
    first.send_signal(signal.SIGTERM)
    counts, _ = finish(first)
    assert counts["rows"] == len(passes(place))


def test_without_clean_passes_it_says_what_to_run(tmp_path):
    process = start(load_settings(_env_file=None, var=tmp_path), "--seconds", "1")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "kakou etl run" in err


def test_the_log_continues_after_a_writer_was_killed_in_a_line(place):
    finish(start(place, "--rate", "100", "--seconds", "1"))
    with (place.sim_dir / "passes.log").open("ab") as file:
        file.write(b"S1\thalf a li")
    PassLog(place.sim_dir / "passes.log").close()
    finish(start(place, "--rate", "100", "--seconds", "1"))
    assert len(passes(place)) >= 150
