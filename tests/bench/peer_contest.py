"""The contest: one preloaded topic, each contestant alone on it in turn, and the same contradictions.

What is to be found is what ``kakou.detection.contradictions`` finds in all records at once.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from peer_environments import PEERS, environment, flink_jars, wanted
from peer_measure import Start, found_pairs, measure
from stream_feed import preload
from stream_job import StreamError
from stream_pipeline import _in_several_batches, local_now
from stream_proof import warned_pairs
from stream_stack import private_stack, store_pids
from stream_traffic import Plan, Traffic, make_traffic

from kakou.connections import KAFKA_USER, connect, kafka_protocol
from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import load_rules
from kakou.detection.state import BATCH_SCHEMA, State
from kakou.errors import KakouError
from kakou.plates import WHOLE_PLATE_PATTERN
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from kakou.stack.topics import ensure_topics
from spark_jobs import detect
from spark_jobs.stream_passages import most_records

SPAN = timedelta(minutes=115)
CLONES_A_MILLION = 200
PART_TOPIC = "traffic-part"
SETTLE_S = 3.0
SPARK_PROGRAM = Path(__file__).with_name("spark_contestants.py")
# Eight times as fast here as ``process``, where state is asked for over a socket.
FLINK_OPTIONS = {"python.execution-mode": "thread"}


@dataclass(frozen=True)
class Contestant:
    """What takes part.

    Attributes:
        label: in the table.
        peer: name of its program and of its environment; none for one that runs in Spark.
        shares: how many processes, or subtasks of one process, share the topic.
        processes: of them, how many are started.
        part: it is so slow that it gets the first records alone.
        finds: whether it looks for contradictions.
    """

    label: str
    peer: str = ""
    shares: int = 1
    processes: int = 1
    part: bool = False
    finds: bool = True


CONTESTANTS = {
    "read": Contestant("Spark: read + parse", finds=False),
    "ours": Contestant("ours, full verdicts"),
    "state-call": Contestant("Spark: state call per plate", part=True),
    "state-call-pandas": Contestant("Spark: the same in pandas", part=True),
    "flink": Contestant("PyFlink: KeyedProcessFunction", "flink", shares=2),
    "quix": Contestant("Quix Streams", "quix", shares=2, processes=2),
    "plain": Contestant("plain consumer, dict", "plain", shares=2, processes=2),
}


@dataclass(frozen=True)
class Question:
    """``records`` for most, the first ``part`` of them for the slow; who takes part, by name."""

    records: int
    part: int
    only: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """A topic as it was filled, and what is to be found in it; ``rule`` is what the peers go by."""

    settings: Settings
    records: int
    contradictions: frozenset[tuple[str, str]]
    rule: dict[str, Any]


def run_contest(work: Path, question: Question, say: Callable[[str, dict[str, Any]], None]) -> dict[str, Any]:
    """Runs all; what breaks off says so, and the others go on.

    Args:
        work: environments lie in it, and the stores for as long as it runs.
        say: is told of each contestant when it is done.

    Raises:
        InstallError: an environment cannot be made.
    """
    programs = {name: _program(name, work) for name in question.only}
    found: dict[str, Any] = {"records": question.records, "part": question.part, "contestants": {}}
    with private_stack(work, question.records + question.part) as settings:
        topics = _topics(settings, question)
        jars = flink_jars(settings, work / "jars") if "flink" in question.only else []
        whole = topics[False]
        found["contradictions"] = len(whole.contradictions)
        found["batch_records"] = most_records(whole.settings, detect.QUERY)
        for name in question.only:
            time.sleep(SETTLE_S)
            topic = topics[CONTESTANTS[name].part]
            try:
                with _job(topic, name, jars) as folder:
                    one = _contend(topic, name, programs[name], folder)
            except (StreamError, KakouError, OSError) as error:
                _log(settings, name).touch()
                shutil.copyfile(_log(settings, name), work / f"failed-{name}.log")
                one = {"broke_off": f"{type(error).__name__}: {error}"}
            found["contestants"][name] = one
            say(name, one)
    return found


def first_of(traffic: Traffic, records: int) -> Traffic:
    """The first records, with the clones that are whole in them."""
    passes = traffic.passes[:records]
    seen = set(passes["gcxh"])
    clones = frozenset(pair for pair in traffic.clones if seen.issuperset(pair))
    return Traffic(passes, traffic.values[:records], clones)


def contradictions_in(traffic: Traffic, settings: Settings) -> frozenset[tuple[str, str]]:
    """Ids of the two passes of each contradiction, looked for in all records at once.

    Raises:
        StreamError: it is not what was planted, so the traffic is no yardstick.
    """
    good = traffic.passes.filter(pl.col("kind") != "poison").with_columns(
        t=pl.col("gcsj").str.to_datetime().dt.epoch("s"), arrival=pl.lit(None, pl.Int64)
    )
    batch = good.select(BATCH_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
    table = find_contradictions(State(), batch, load_rules(settings)).found
    found = frozenset(zip(table["first_gcxh"].to_pylist(), table["second_gcxh"].to_pylist(), strict=True))
    if found != traffic.clones:
        raise StreamError(
            f"{len(found)} contradictions lie in the traffic, planted were {len(traffic.clones)}."
        )
    return found


def rule_of(settings: Settings) -> dict[str, Any]:
    """What the peers must know, for ``contradict.Rule``."""
    rules = load_rules(settings)
    return {
        "gates": list(rules.gates), "least": rules.min_travel.tolist(), "window": rules.limits.window,
        "retention": rules.limits.retention, "plate": WHOLE_PLATE_PATTERN.replace("$", r"\Z"),
    }  # fmt: skip


def _program(name: str, work: Path) -> list[str]:
    peer = CONTESTANTS[name].peer
    if not peer:
        return [sys.executable, str(SPARK_PROGRAM), name]
    return [str(environment(peer, work / "environments")), str(PEERS / f"{peer}_peer.py")]


def _topics(settings: Settings, question: Question) -> dict[bool, Topic]:
    """The whole topic, and the first part of it as one of its own."""
    clones = max(4, question.records * CLONES_A_MILLION // 1_000_000)
    start = local_now(settings) - SPAN
    traffic = make_traffic(Plan(question.records, start, SPAN.total_seconds(), clones=clones))
    topics = {}
    for part, one in ((False, traffic), (True, first_of(traffic, question.part))):
        if part and not any(CONTESTANTS[name].part for name in question.only):
            continue
        names = {"topic": PART_TOPIC} if part else {}
        own = _in_several_batches(settings.model_copy(update=names), len(one.values))
        ensure_topics(own)
        seconds = preload(own, one)
        print(
            f"  {len(one.values):,} records of {one.passes['hphm'].n_unique():,} plates, {len(one.clones)} "
            f"contradictions, preloaded in {seconds:.0f} s; batches of {most_records(own, detect.QUERY):,}",
            flush=True,
        )
        topics[part] = Topic(own, len(one.values), contradictions_in(one, settings), rule_of(settings))
    return topics


@contextmanager
def _job(topic: Topic, name: str, jars: list[Path]) -> Iterator[Path]:
    """A folder with the job of each process; it is gone afterwards, as the password lies in it."""
    settings, contestant = topic.settings, CONTESTANTS[name]
    folder = settings.var / "contest" / name
    for share in range(contestant.processes):
        job = {
            "kafka": {
                "bootstrap.servers": settings.kafka_bootstrap,
                "security.protocol": kafka_protocol(settings), "sasl.mechanism": "PLAIN",
                "sasl.username": KAFKA_USER,
                "sasl.password": secret(settings, "kafka").get_secret_value(),
            },
            "topic": settings.topic, "partitions": settings.partitions, "rule": topic.rule,
            "out": str(folder), "state": str(folder / "state"), "share": share, "shares": contestant.shares,
            "jars": [str(jar) for jar in jars], "options": FLINK_OPTIONS,
        }  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"job-{share}.json").write_text(json.dumps(job, ensure_ascii=False), "utf-8")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _contend(topic: Topic, name: str, program: list[str], folder: Path) -> dict[str, Any]:
    settings, contestant = topic.settings, CONTESTANTS[name]
    jobs = [str(folder / f"job-{share}.json") for share in range(contestant.processes)]
    own = child_environment(settings)
    if contestant.peer:
        own["PYTHONPATH"], own["FLINK_LOG_DIR"] = str(PEERS), str(settings.log_dir)
        own["PATH"] = os.pathsep.join([str(Path(program[0]).parent), own["PATH"]])
    else:
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [own.get("PYTHONPATH"), str(PEERS.parent)]))
    start = Start([[*program, job] for job in jobs], own, folder, _log(settings, name))
    measured = measure(start, topic.records, store_pids(settings))
    measured["version"] = wanted(contestant.peer) if contestant.peer else _spark_version()
    if not contestant.finds:
        return measured
    found = warned_pairs(settings) if name == "ours" else found_pairs(folder)
    if name == "ours":
        measured["verdicts"] = _verdicts(settings)
    return measured | {
        "found": len(found), "missed": len(topic.contradictions - found),
        "false": len(found - topic.contradictions),
    }  # fmt: skip


def _log(settings: Settings, name: str) -> Path:
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    return settings.log_dir / f"contest-{name}.log"


def _verdicts(settings: Settings) -> dict[str, int]:
    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT verdict FROM warnings")
        return dict(Counter(row[0] for row in cursor.fetchall()))


def _spark_version() -> str:
    import pyspark

    return f"pyspark {pyspark.__version__}"
