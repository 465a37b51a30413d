"""The benchmark of the stream can be trusted: its traffic is what it says, and its judges notice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime

import polars as pl
import psutil
import pytest
import structlog
from stream_costs import Costs, family_roles
from stream_jdbc import AS_IT_COMES
from stream_job import Batch, batch_of
from stream_kills import Pace
from stream_latency import percentiles
from stream_proof import STORED, audit, sent_frame, stored_frame
from stream_report import bars_of
from stream_soak import NOT_SHOWN, bound_of, growth_of, rise
from stream_stack import empty_passes
from stream_traffic import REPEATED_WITHIN, Plan, gates, make_traffic, write_gates
from stream_writer import Contest, _contest, _demand, _files, _load, _ours

from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import read_gates
from kakou.detection.rules import build_rules
from kakou.detection.state import BATCH_SCHEMA, State
from kakou.detection.travel import TRAVEL_SCHEMA
from kakou.fields import COLUMNS_12
from kakou.passage import Passage, parse_passage
from kakou.settings import Settings
from sql.gates import load_gates

START = datetime(2026, 3, 7, 16, 30)
PLAN = Plan(20_000, START, 115 * 60.0, clones=7, seed=3)


def test_the_traffic_is_what_the_plan_says():
    traffic = make_traffic(PLAN)
    kinds = Counter(traffic.passes["kind"].to_list())
    parsed = [parse_passage(value) for value in traffic.values]
    assert len(traffic.values) == len(traffic.keys) == 20_000
    assert kinds["repeat"] == 100 and kinds["clone"] == 14 and 10 < kinds["poison"] < 90
    good = [one for one in parsed if isinstance(one, Passage)]
    assert len(good) == traffic.understood == 20_000 - kinds["poison"]
    reasons = {one.reason for one in parsed if not isinstance(one, Passage)}
    assert reasons == {"column_count", "encoding", "bad_time", "empty_value", "bad_flag"}
    first = {}
    for at, (value, kind) in enumerate(zip(traffic.values, traffic.passes["kind"], strict=True)):
        if kind == "repeat":
            assert 0 < at - first[value] <= REPEATED_WITHIN * 1.02
        else:
            assert first.setdefault(value, at) == at
    assert make_traffic(PLAN).values == traffic.values
    assert {one.is_weekend for one in good} == {1} and {one.is_peak_hour for one in good} == {0, 1}


def test_only_what_is_planted_contradicts_itself(tmp_path):
    """The honest vehicles of the traffic really are honest for the rules that the stream uses."""
    traffic = make_traffic(PLAN)
    write_gates(tmp_path / "gates.csv")
    rules = build_rules(read_gates(tmp_path / "gates.csv"), pl.DataFrame(schema=TRAVEL_SCHEMA))
    good = traffic.passes.filter(pl.col("kind") != "poison").with_columns(
        t=pl.col("gcsj").str.to_datetime().dt.epoch("s"), arrival=pl.lit(None, pl.Int64)
    )
    batch = good.select(BATCH_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
    _, found, counts, _ = find_contradictions(State(), batch, rules)
    assert set(zip(found["first_gcxh"].to_pylist(), found["second_gcxh"].to_pylist(), strict=True)) == (
        traffic.clones
    )
    assert counts.late == counts.withheld == 0 and counts.duplicates == 100
    assert len(gates()) == 40 and good["hphm"].n_unique() > 5_000


def test_two_plans_may_share_a_topic():
    one, other = (make_traffic(Plan(3_000, START, 600.0, seed=seed)) for seed in (1, 2))
    assert not set(one.passes["gcxh"]) & set(other.passes["gcxh"])


def test_a_short_plan_holds_its_clones_too():
    traffic = make_traffic(Plan(3_000, START, 15.0, clones=4))
    assert len(traffic.values) == 3_000 and len(traffic.clones) == 4
    assert traffic.passes["gcsj"].max() < "2026-03-07 16:30:15"


def test_the_log_lines_of_the_stream_are_understood(capsys):
    structlog.get_logger("kakou.stream").info("batch", query="ingest", batch=12, seconds=0.5, stored=9)
    plain = capsys.readouterr().out
    line = json.dumps({"event": "batch", "query": "detection", "batch": 3, "seconds": 1.25})
    assert batch_of(plain) == Batch("ingest", 12, 0.5)
    assert batch_of("\x1b[2m22:03\x1b[0m \x1b[36mquery\x1b[0m=\x1b[35mingest\x1b[0m batch=1 seconds=2") == (
        Batch("ingest", 1, 2.0)
    )
    assert batch_of(line) == Batch("detection", 3, 1.25)
    for other in ("", "{", "started queries=['ingest']", "query=other batch=1 seconds=1", "{}"):
        assert batch_of(other) is None


def stored_as_sent(sent: pl.DataFrame) -> pl.DataFrame:
    return sent.filter(pl.col("kind") != "poison").unique("gcxh", keep="first", maintain_order=True).select(
        STORED
    )  # fmt: skip


def test_the_audit_notices_what_is_lost_doubled_invented_or_changed():
    traffic = make_traffic(Plan(1_000, START, 600.0, clones=2))
    acked = [(at % 4, at // 4) if at != 10 else None for at in range(1_000)]
    sent = sent_frame(traffic, acked)
    stored = stored_as_sent(sent)
    nothing = {"acked": 999, "lost": 0, "doubled": 0, "unexpected": 0, "changed": 0}
    assert audit(sent, stored) == nothing
    assert audit(sent, stored[3:]) == nothing | {"lost": 3}
    assert audit(sent, pl.concat([stored, stored[:2]])) == nothing | {"doubled": 2}
    strange = stored[:1].with_columns(gcxh=pl.lit("G1"))
    assert audit(sent, pl.concat([stored, strange])) == nothing | {"unexpected": 1}
    moved = stored.with_columns(
        offset=pl.when(pl.col("gcxh") == stored["gcxh"][5]).then(-1).otherwise("offset")
    )
    assert audit(sent, moved) == nothing | {"changed": 1}
    other = stored.with_columns(
        value=pl.when(pl.col("gcxh") == stored["gcxh"][7]).then(pl.lit(b"x")).otherwise("value")
    )
    assert audit(sent, other) == nothing | {"changed": 1}


BUSY = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(60)"


def wait_until_spent(process: subprocess.Popen) -> None:
    give_up = time.monotonic() + 60
    while sum(psutil.Process(process.pid).cpu_times()[:2]) < 0.48:
        assert time.monotonic() < give_up, "the machine gave it no time"
        time.sleep(0.05)
    time.sleep(0.2)  # and now it sleeps


def test_a_process_counts_from_the_begin_of_the_window_or_from_its_birth():
    with subprocess.Popen([sys.executable, "-c", BUSY]) as old:
        young = None
        try:
            wait_until_spent(old)
            roles = {old.pid: "old"}
            costs = Costs(lambda: roles)
            costs.begin()
            young = subprocess.Popen([sys.executable, "-c", BUSY])
            roles[young.pid] = "young"
            wait_until_spent(young)
            spent = costs.end()
        finally:
            for process in (old, young):
                if process:
                    process.kill()
                    process.wait()
    assert spent.cpu["old"] < 0.2 and 0.4 < spent.cpu["young"] < 0.9
    assert spent.per_million(500_000)["young"] == pytest.approx(2 * spent.cpu["young"], abs=0.1)
    assert costs.memory[-1][1]["young"] > 1


class Process:
    def __init__(self, pid: int, parent: int, name: str) -> None:
        self.pid, self._parent, self._name = pid, parent, name

    def ppid(self) -> int:
        return self._parent

    def name(self) -> str:
        return self._name


def test_each_process_of_the_stream_has_its_part():
    family = [Process(1, 0, "python"), Process(2, 1, "java"), Process(3, 2, "python"),
              Process(4, 3, "python"), Process(5, 1, "sh")]  # fmt: skip
    parts = ["driver Python", "driver JVM", "Python workers", "Python workers", "other children"]
    assert list(family_roles(family).values()) == parts  # type: ignore[arg-type]


def test_the_records_last_as_long_as_the_kills():
    pace, left, turns = Pace(20), 50_000.0, 0
    while pace.left:
        left -= pace(int(left)) * 35  # each turn takes longer than was guessed
        assert left > 0, f"nothing is left for turn {turns}"
        pace.killed(35.0)
        turns += 1
    assert turns == 20 and left < 5_000 and pace(int(left)) >= 2_000


def test_percentiles_are_observed_values():
    found = percentiles([float(n) for n in range(100, 0, -1)])
    assert found == {"count": 100, "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
    assert percentiles([3.0])["p99"] == percentiles([3.0])["p50"] == 3.0


def minutes(memory: list[float], batch: list[float]) -> list[dict]:
    return [
        {"mib": {"driver JVM": mib, "redis": 10 + at}, "ingest": seconds, "detection": 0.0}
        for at, (mib, seconds) in enumerate(zip(memory, batch, strict=True))
    ]


def test_growth_is_that_of_the_second_half_alone():
    filling = minutes([100, 300, 500, 700, 900, *[1_000] * 5], [0.1, 0.2, 0.3, 0.4, 0.5, *[0.6] * 5])
    growth = growth_of(filling)
    assert growth["driver JVM"] == growth["batch of ingest"] == 0 and "redis" not in growth
    leak = growth_of(minutes([500 + 20 * n for n in range(10)], [0.5] * 10))
    assert leak["memory of all"] > bound_of("memory of all") and leak["batch of ingest"] == 0
    assert rise([4, 3, 2, 1]) < 0
    # A query that logged no batch has not shown that it is flat.
    assert rise([]) == rise([0, 0, 0, 0]) == growth_of(filling)["batch of detection"] == NOT_SHOWN


@pytest.mark.parametrize(("ours", "met"), [(8_000.0, True), (7_999.0, False)])
def test_the_bars_are_met_up_to_their_edge(ours, met):
    proof = {"proven": True}
    run = {"rate": ours, "rates": {"ingest": ours / 4}, "cpu_per_million": {"x": 1.0}, "others": 0.0}
    found = {
        "pipeline": run | {"proof": proof}, "endpoint": run | {"proof": proof},
        "writer": {"to_load": ours / 16_000, "to_jdbc": {AS_IT_COMES: ours / 1_000, "else": 1.0}},
        "latency": {
            "rate": 1_000.0, "queryable": {"p50": 1.0, "p99": 2.5 if met else 2.51}, "proof": proof,
            "warnings": {"count": 60, "p50": 1.2, "p99": 3.0 if met else 3.01}, "clones": 60,
        },
    }  # fmt: skip
    bars = {bar.what: bar.met for bar in bars_of(found)}
    judged = ("whole pipeline, warm", "endpoint route, warm", "direct writer / LOAD DATA LOCAL",
              "direct writer / Spark's JDBC", "queryable at 1,000/s", "60 warnings in Redis")  # fmt: skip
    assert {what: bars[what] for what in judged} == dict.fromkeys(judged, met)


def test_what_broke_off_or_lost_a_record_is_no_success():
    assert [bar.met for bar in bars_of({"kills": {"broke_off": "StreamError: it ended"}})] == [False]
    proof = {
        "proven": False, "balanced": False, "lost": 1, "doubled": 0, "fates": {}, "planted": {},
        "clones_warned": 0, "clones": 1, "warned": 0, "broken": {"L2": "1 lost"},
    }  # fmt: skip
    kills = {"kills": 20, "lost": 1, "doubled": 0, "unexpected": 0, "changed": 0, "proof": proof}
    bars = bars_of({"kills": kills | {"recovery": {"p50": 9.0, "p90": 11.0}}})
    assert [bar.met for bar in bars] == [False, False, True]


@pytest.mark.integration
def test_all_writers_write_the_same_rows(stack: Settings, tmp_path):
    """The yardsticks are no easier: what they leave is what our writer leaves."""
    write_gates(tmp_path / "kkmc_dimension.csv")
    load_gates(stack, tmp_path / "kkmc_dimension.csv")
    contest = _contest(stack.model_copy(update={"max_offsets_per_trigger": 150}), 500)
    held = []
    for write in (
        lambda: _ours(contest),
        lambda: _load(stack, _files(contest, tmp_path / "batched", contest.batch)),
        lambda: _load(stack, _files(contest, tmp_path / "whole", len(contest.rows))),
    ):
        empty_passes(stack)
        write()
        _demand(stack, len(contest.rows))
        held.append(stored_frame(stack).sort("gcxh"))
    assert held[0].equals(held[1]) and held[0].equals(held[2]) and len(contest.batches()) > 2
    want = contest.rows.select(pl.concat_str(COLUMNS_12, separator="\t").cast(pl.Binary)).to_series()
    assert set(held[0]["value"]) == set(want)
    assert isinstance(contest, Contest) and set(contest.node_of.unique()) == {"dn1", "dn2"}
    empty_passes(stack)
