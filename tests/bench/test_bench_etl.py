"""The benchmark can be trusted: it counts children, cuts at marks, and its script does the work of ours."""

import sys

import duckdb
import duckdb_script
import pytest
from bench_measure import measure
from bench_report import bars_of
from bench_resume import digest

from etl import pipeline
from etl.generate.faults import FAULTS
from etl.generate.raw_folder import generate_raw

CHILD = "b = bytearray(300 << 20); b[::4096] = b'1' * len(b[::4096]); import time; t = time.process_time()\n"
CHILD += "while time.process_time() - t < 0.6: pass"
PARENT = f"""
import json, os, subprocess, sys, time
def mark(step):
    with open(os.environ["BENCH_MARKS"], "a") as file:
        file.write(json.dumps({{"step": step, "at": time.monotonic()}}) + chr(10))
mark("idle"); time.sleep(0.6)
mark("short")
mark("busy"); subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
mark("end")
"""


def test_it_counts_what_children_take_and_when():
    one = measure([sys.executable, "-c", PARENT])
    assert 300 < one.peak_mib < 450 and one.private_mib > 300 and one.one_mib > 300
    assert 0.6 < one.cpu < 3
    assert list(one.steps) == ["start", "idle", "short", "busy", "end"]
    assert one.steps["idle"].cpu < 0.3 and one.steps["idle"].peak_mib < 100 and one.steps["idle"].wall >= 0.6
    assert one.steps["busy"].cpu > 0.4 and one.steps["busy"].peak_mib > 300
    assert one.steps["short"].cpu < 0.3 and one.steps["short"].peak_mib < 100
    wall, cpu = one.until("busy")
    assert 0.6 <= wall < one.wall and cpu < 0.5


def test_a_command_that_fails_says_why():
    with pytest.raises(RuntimeError, match="no such thing"):
        measure([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_the_script_merges_the_same_passes_as_the_batch(tmp_path):
    raw, ours, theirs = (tmp_path / name for name in ("raw", "ours", "theirs"))
    written = generate_raw(raw, days=10, scale=0.05, faults=frozenset(FAULTS), spreadsheets=2)
    assert len(written["planted"]["copied_file"]) == 5
    pipeline.run(raw, ours, pipeline.EtlParams())
    duckdb_script.main(raw, theirs)
    read = "SELECT GCXH, XZQHMC, KKMC, FXLX, GCSJ, {}, HPHM, CLPPXH FROM '{}'"
    kind = "ltrim(HPZL, '''')"
    both = [
        read.format(kind, file) for file in (ours / "merged_data.parquet", theirs / "merged.parquet")
    ]  # fmt: skip
    counts = [duckdb.sql(f"SELECT count(*) FROM ({one})").fetchall()[0][0] for one in both]
    assert counts[0] == counts[1] > 5_000
    for one, other in (both, reversed(both)):
        assert duckdb.sql(f"{one} EXCEPT {other}").fetchall() == []


def test_files_that_are_no_artefacts_do_not_count(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    before = digest(tmp_path)
    (tmp_path / ".a.csv.tmp").write_text("2")
    (tmp_path / "parts").mkdir()
    assert digest(tmp_path) == before
    (tmp_path / "a.csv").write_text("3")
    assert digest(tmp_path) != before


@pytest.mark.parametrize(("merge", "every", "met"), [(13, 40, [True, True]), (13.1, 40.1, [False, False])])
def test_bars_are_met_up_to_their_edge(merge, every, met):
    script = {"wall": 10.0, "cpu": 10.0}
    found = {
        "script": script, "merge": {"wall": merge, "cpu": 1.0}, "ours": {"wall": every, "cpu": 1.0},
        "identical": True, "repeat": 2,
    }  # fmt: skip
    assert [bar.met for bar in bars_of(found)[:2]] == met


def test_one_run_alone_proves_no_rerun():
    cost = {"wall": 1.0, "cpu": 1.0}
    found = {"script": cost, "merge": cost, "ours": cost, "identical": True, "repeat": 1}
    assert not bars_of(found)[2].met
