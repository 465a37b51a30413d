"""The benchmark beside the peers can be trusted: they go by the same rule, and its judges notice."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import polars as pl
import psutil
import pytest
from peer_contest import CONTESTANTS, contradictions_in, first_of, rule_of
from peer_measure import Curve, Start, found_pairs, measure, warm_of
from peer_report import BARS, STRETCH, bars_of, head, line_of
from peers.contest import Told
from peers.contradict import Pass, Rule
from stream_job import StreamError
from stream_traffic import Plan, Traffic, make_traffic, write_gates

from kakou.settings import Settings

START = datetime(2026, 3, 7, 16, 30)
TRAFFIC = make_traffic(Plan(12_000, START, 115 * 60.0, clones=8, seed=5))


@pytest.fixture
def known(settings: Settings) -> Settings:
    """Settings of a stack that knows the gates of the traffic."""
    write_gates(settings.clean_dir / "kkmc_dimension.csv")
    return settings


def looked_for(rule: Rule, values: list[bytes]) -> Counter[tuple[str, str]]:
    """What a peer finds, however its state is kept."""
    memory: dict[str, list[Pass]] = defaultdict(list)
    found: Counter[tuple[str, str]] = Counter()
    for value in values:
        read = rule.read(value.decode("utf-8", "replace"))
        if read is not None:
            plate, new = read
            pairs = rule.completes(memory[plate], new)
            if pairs is not None:
                found.update(pairs)
                memory[plate] = rule.remembered(memory[plate], new)
    return found


def test_a_peer_finds_what_ours_finds_in_any_order(known: Settings):
    wanted = contradictions_in(TRAFFIC, known)
    assert len(wanted) == 8
    for values in (TRAFFIC.values, TRAFFIC.values[::-1]):
        assert looked_for(Rule(rule_of(known)), values) == dict.fromkeys(wanted, 1)


def test_a_peer_reads_and_refuses_the_same_records(known: Settings):
    rule = Rule(rule_of(known))
    refused = pl.Series([rule.read(value.decode("utf-8", "replace")) is None for value in TRAFFIC.values])
    assert refused.sum() > 5 and (refused == (TRAFFIC.passes["kind"] == "poison")).all()
    value = TRAFFIC.values[0].decode()
    plate = TRAFFIC.passes["hphm"][0]
    assert rule.read(value) and rule.read(value.replace(plate, plate[:3] + "***")) is None


def test_a_peer_forgets_what_no_pass_can_contradict(known: Settings):
    rule = Rule(rule_of(known))
    old, new = (0, "G1", 0), (9_001, "G2", 39)
    assert rule.completes([old], new) == [] and rule.forgets([old], new)
    assert rule.remembered([old], new) == [new] and rule.horizon(9_001) == 1
    near = (8_990, "G3", 0)
    assert rule.completes([near], new) == [("G3", "G2")] and not rule.forgets([near], new)
    assert rule.completes([near, new], new) is None  # an id that was read before


def test_the_first_records_hold_the_clones_that_are_whole_in_them(known: Settings):
    part = first_of(TRAFFIC, 6_000)
    assert len(part.values) == 6_000 and 0 < len(part.clones) < len(TRAFFIC.clones)
    assert contradictions_in(part, known) == part.clones
    with pytest.raises(StreamError, match="planted were 0"):
        contradictions_in(Traffic(TRAFFIC.passes, TRAFFIC.values, frozenset()), known)


def test_the_curve_is_the_sum_of_all_processes(tmp_path: Path):
    curve = Curve(tmp_path)
    assert curve.look() == 0
    write(tmp_path / "progress-1.jsonl", [(1.0, {"0": 10}), (3.0, {"0": 30, "1": 5})])
    write(tmp_path / "progress-2.jsonl", [(2.0, {"2": 7}), (4.0, {"1": 9})])
    assert curve.look() == 30 + 9 + 7
    assert [(one.at, one.records) for one in curve.points()] == [(1, 10), (2, 17), (3, 42), (4, 46)]
    with (tmp_path / "progress-1.jsonl").open("a") as half:
        half.write('{"at": 5.0, "counts"')  # a line that is being written
        half.flush()
        assert curve.look() == 46
        half.write(': {"0": 31}}\n')
    assert curve.look() == 47
    assert warm_of(curve.points(), 47) == (29, 2.0)
    with pytest.raises(StreamError, match="take more records"):
        warm_of(curve.points()[-1:], 47)


def write(path: Path, told: list[tuple[float, dict[str, int]]]) -> None:
    path.write_text("".join(json.dumps({"at": at, "counts": counts}) + "\n" for at, counts in told))


def test_what_a_contestant_tells_is_read(tmp_path: Path):
    told = Told(str(tmp_path), thread=False)
    told.found("苏C12345", [("G1", "G2"), ("G1", "G3")])
    told.found("苏C12345", [])
    told.counts["0"] = 4
    told.tell_if_due()
    told.counts["0"] = 5
    told.tell_if_due()  # too soon
    curve = Curve(tmp_path)
    assert curve.look() == 4 and found_pairs(tmp_path) == {("G1", "G2"), ("G1", "G3")}
    told.tell()
    assert curve.look() == 5


COUNTS = """
import sys, time, json, pathlib
out = pathlib.Path.cwd() / "progress-1.jsonl"
for count in (0, 30, 60, 100)[: int(sys.argv[1])]:
    time.sleep(0.2)
    with out.open("a") as told:
        print(json.dumps({"at": time.monotonic(), "counts": {"0": count}}), file=told)
print("ends here", flush=True)
time.sleep(float(sys.argv[2]))
"""


def started(folder: Path, lines: int, stays: float) -> Start:
    out = folder / f"out-{lines}"
    out.mkdir()
    return Start([[sys.executable, "-c", COUNTS, str(lines), str(stays)]], {}, out, folder / "log")


def test_a_contestant_is_measured_and_ended(tmp_path: Path):
    before = set(psutil.Process().children())
    measured = measure(started(tmp_path, 4, 60.0), 100, {})
    assert measured["records"] == 100 and measured["warm_records"] == 70 and measured["warm_seconds"] > 0.3
    assert measured["cold_seconds"] > 0.3 and measured["peak_mib"] > 1
    left = set(psutil.Process().children()) - before
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(StreamError, match=r"ended by itself.*ends here"):
        measure(started(tmp_path, 2, 0.0), 100, {})


def ran(rate: float, **others: object) -> dict:
    return {
        "version": "x 1", "records": 100, "rate": rate, "cold_seconds": 1.0, "warm_seconds": 2.0,
        "cpu": {"driver Python": 1.0}, "cpu_per_million": 1.0, "peak_mib": 1.0, "others": 0.0,
        "found": 8, "missed": 0, "false": 0, **others,
    }  # fmt: skip


def test_the_bars_are_met_up_to_their_edge():
    every = {name: ran(1_000.0 / (bar or 1.0)) for name, bar in BARS.items()}
    met = bars_of({"contestants": every | {"ours": ran(1_000.0)}})
    assert len(met) == len(BARS) + 2 and all(bar.met for bar in met)
    missed = bars_of({"contestants": every | {"ours": ran(999.0)}})
    assert [bar.met for bar in missed] == [False] * 5 + [True] * 3
    assert "not reached" in missed[-2].measured
    assert "reached" in bars_of({"contestants": {"ours": ran(STRETCH)}})[0].measured


def test_another_set_or_a_break_misses_a_bar():
    found = {"ours": ran(2.0), "quix": ran(1.0, missed=1), "flink": {"broke_off": "StreamError: it ended"}}
    bars = {bar.what: bar for bar in bars_of({"contestants": found})}
    assert not bars[CONTESTANTS["flink"].label].met
    same = bars["found the same contradictions"]
    assert not same.met and "Quix" in same.measured
    assert "1 missed" in line_of("quix", found["quix"]) and "broke off" in line_of("flink", found["flink"])
    assert len(line_of("ours", ran(2.0, verdicts={"undecided": 3}))) > len(head())


def test_each_contestant_has_what_it_is_started_with():
    peers = Path(__file__).with_name("peers")
    for one in CONTESTANTS.values():
        assert not one.peer or (peers / f"{one.peer}_peer.py").exists()
        assert (
            not one.peer or (peers / f"{one.peer}.in").read_text() in (peers / f"{one.peer}.txt").read_text()
        )
