"""The stream as a process: good, repeated, conflicting, poisoned and cloned records, killed once on the way.

Ends with the ledger: every offset has one fate, every alert the oracle finds is in the table once and in
Redis once.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import psutil
import pytest
from kafka import KafkaProducer
from poison import GOOD, POISON

from kakou import redis_keys
from kakou.connections import connect, kafka_options, node_names, redis_client
from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import load_rules
from kakou.detection.state import BATCH_SCHEMA, empty_state
from kakou.detection.verdicts import judge
from kakou.fields import DIMENSION_COLUMNS
from kakou.passage import Passage, format_passage, parse_passage
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from kakou.stack.topics import ensure_topics
from spark_jobs.ledger import read_ledger, rejected_records
from sql.gates import load_gates

pytestmark = [pytest.mark.integration, pytest.mark.spark]
GATES = {f"ST_G{n}": (116.5 + n * 0.5, 34.3) for n in range(6)}  # 46 km apart: 828 s at 200 km/h
RECORDS, MASKED = 3_000, 40
# Two hours arrive in a second or two, as when a shipper was away: nothing of that is late.
SPAN = timedelta(minutes=115)
CUT_PLATE = "苏C12***"
WAIT_S = 240


@dataclass
class Sent:
    """What was produced, in order."""

    records: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    poison: Counter[str] = field(default_factory=Counter)
    clones: set[tuple[str, str]] = field(default_factory=set)

    def passes(self) -> list[Passage]:
        """Those that are understood, in the order of their partition: equal ids have one key here."""
        found = (parse_passage(value or b"") for _, value in self.records)
        return [one for one in found if isinstance(one, Passage)]

    def fates(self) -> tuple[dict[str, Passage], int, int]:
        """What must be stored, how many repeat, how many conflict."""
        stored: dict[str, Passage] = {}
        duplicates = conflicts = 0
        for one in self.passes():
            first = stored.setdefault(one.gcxh, one)
            duplicates += first is not one and first == one
            conflicts += first != one
        return stored, duplicates, conflicts

    def add(self, key: str, value: bytes | None) -> None:
        self.records.append((key.encode(), value))


def one_pass(gcxh: str, plate: str, gate: str, time: datetime, brand: str = "大众牌") -> Passage:
    return Passage(gcxh, "丰县", gate, "1", time, "02", plate, brand, "江苏", 0, 0, "小型汽车")


def traffic() -> Sent:
    """Some thousand records around now. Honest cars stay at their gate: only what is planted is a clone."""
    sent, dice, gates = Sent(), random.Random(7), list(GATES)
    now = datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None, microsecond=0)
    for n in range(RECORDS):
        plate = f"苏C{n % 900:05d}"
        moment = (now - SPAN + SPAN * n / RECORDS).replace(microsecond=0)
        honest = one_pass(f"st-{n}", plate, gates[n % 900 % 6], moment)
        sent.add(plate, format_passage(honest))
        if n % 40 == 0:  # a record comes again, sooner or later
            sent.records.append(dice.choice(sent.records[-500:]))
        if n % 200 == 0:  # other passes under a known id, some of them at a gate of the other node
            for gate in gates:
                other = one_pass(honest.gcxh, plate, gate, moment, brand=f"另{gate}")
                sent.add(plate, format_passage(other))
        if n % 400 == 100:
            plate, ids = f"苏D{n:05d}", (f"st-clone-{n}-a", f"st-clone-{n}-b")
            sent.add(plate, format_passage(one_pass(ids[0], plate, gates[0], moment)))
            sent.add(plate, format_passage(one_pass(ids[1], plate, gates[3], moment + timedelta(minutes=1))))
            sent.clones.add(ids)
        if n < MASKED:
            sent.add(CUT_PLATE, format_passage(one_pass(f"st-masked-{n}", CUT_PLATE, gates[n % 6], moment)))
    for raw, reason in [*((raw, reason) for _, raw, reason in POISON), (None, "column_count")]:
        sent.records.insert(dice.randrange(len(sent.records)), (b"poison", raw))
        sent.poison[reason] += 1
    sent.records.append((None, None))  # nothing at all
    sent.poison["column_count"] += 1
    for n, raw in enumerate(GOOD):
        fields = raw.split(b"\t")
        fields[0], fields[6] = f"st-odd-{n}".encode(), f"浙A00{n:03d}".encode()
        sent.records.append((b"odd", b"\t".join(fields)))
    return sent


@pytest.fixture(scope="module")
def settings(stack: Settings) -> Iterator[Settings]:
    """The stack with topics, checkpoints and gates of our own, and empty tables."""
    ours = stack.model_copy(
        update={
            "topic": "stream-test",
            "rejected_topic": "stream-test-rejected",
            "max_offsets_per_trigger": 700,
            "slice_records": 250,  # every batch is larger than what may be held at once
        }
    )
    ensure_topics(ours)
    for node in node_names(ours):
        connection = connect(ours, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            tables = ["traffic_data", "flow_hourly", "duplicate_records", "batch_ledger"]
            for table in [*tables, "warnings"] if node == "dn1" else tables:
                cursor.execute(f"DELETE FROM {table}")
    redis_client(ours).delete(redis_keys.WARNINGS, redis_keys.DETECTION_COUNTS, redis_keys.STREAM_PROGRESS)
    dimension = ours.clean_dir / "kkmc_dimension.csv"
    before = dimension.read_bytes() if dimension.exists() else None
    dimension.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},卡口{name},,丰县,,,,{lon},{lat}" for name, (lon, lat) in GATES.items()]
    dimension.write_text("\n".join([",".join(DIMENSION_COLUMNS), *rows, ""]), "utf-8")
    load_gates(ours, dimension)
    yield ours
    dimension.unlink()
    if before is not None:
        dimension.write_bytes(before)


@pytest.fixture(scope="module")
def sent(settings: Settings) -> Sent:
    sent = traffic()
    producer = KafkaProducer(**kafka_options(settings), linger_ms=5)
    for key, value in sent.records:
        # A key is demanded where there is no value, but an empty one will do.
        producer.send(settings.topic, key=b"" if key is None else key, value=value)
    producer.flush()
    producer.close()
    return sent


class Job:
    """The stream in a process of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "spark_jobs.stream_passages"],
                env=child_environment(settings),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._log = log

    def wait_until(self, what: str, ready: object) -> None:
        give_up = time.monotonic() + WAIT_S
        while not ready():  # type: ignore[operator]
            assert self.process.poll() is None, f"the stream ended: {self.tail()}"
            assert time.monotonic() < give_up, f"{what}: not within {WAIT_S} s: {self.tail()}"
            time.sleep(0.3)

    def kill(self) -> None:
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # The JVM sees that its Python is gone and ends by itself.
        _, alive = psutil.wait_procs(family, timeout=30)
        assert not alive, alive

    def tail(self) -> str:
        return self._log.read_text("utf-8", "replace")[-3000:]


def handled(settings: Settings) -> int:
    """Records that the ledgers of the nodes know."""
    total = 0
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT COALESCE(SUM(stored + duplicates + rejected), 0) FROM batch_ledger")
            total += int(cursor.fetchone()[0])
    return total


def detected(settings: Settings) -> int:
    return int(redis_client(settings).hget(redis_keys.DETECTION_COUNTS, "passes") or 0)


def forget_last_commit(checkpoint: Path) -> None:
    """As if the process had died after its work and before Spark wrote that down."""
    numbers = [int(file.name) for file in (checkpoint / "commits").iterdir() if file.name.isdigit()]
    if numbers:
        (checkpoint / "commits" / str(max(numbers))).unlink()
        (checkpoint / "commits" / f".{max(numbers)}.crc").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def finished(settings: Settings, sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Everything was processed, with one kill -9 and one lost commit of each query in between."""
    log = tmp_path_factory.mktemp("stream") / "stream.log"
    job = Job(settings, log)
    job.wait_until("first batches", lambda: handled(settings) > 700 and detected(settings) > 0)
    job.kill()
    assert handled(settings) < len(sent.records), "the kill came too late to show anything"
    for query in ("ingest", "detection"):
        forget_last_commit(settings.checkpoint_dir / query)
    job = Job(settings, log)
    good = len(sent.passes())
    job.wait_until(
        "all records", lambda: handled(settings) >= len(sent.records) and detected(settings) >= good
    )
    job.process.send_signal(signal.SIGTERM)
    assert job.process.wait(60) == 0, job.tail()
    return sent


def test_every_offset_has_one_fate(settings: Settings, finished: Sent) -> None:
    _, duplicates, conflicts = finished.fates()
    assert duplicates > 20 and conflicts > 20
    ledger = read_ledger(settings)
    assert ledger.balanced, ledger
    assert sum(one.end - one.start for one in ledger.partitions) == len(finished.records)
    assert sum(one.duplicate for one in ledger.partitions) == duplicates
    assert sum(one.rejected for one in ledger.partitions) == finished.poison.total() + conflicts


def test_rejected_are_the_planted_ones_with_their_bytes(settings: Settings, finished: Sent) -> None:
    rejected = {place: (reason, raw) for place, reason, raw in rejected_records(settings)}
    reasons = Counter(reason for reason, _ in rejected.values())
    assert reasons == finished.poison + Counter(id_conflict=finished.fates()[2])
    bytes_sent = {value for _, value in finished.records}
    assert all(raw in bytes_sent for _, raw in rejected.values())


def test_rows_are_what_was_sent_first(settings: Settings, finished: Sent) -> None:
    """The first record of an id wins, by the order of its partition, and lies on the node of its gate
    only."""
    rows = {}
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT id, clppxh, kkmc FROM traffic_data")
            rows |= {row[0]: row[1:] for row in cursor.fetchall()}
    assert rows == {gcxh: (one.clppxh, one.kkmc) for gcxh, one in finished.fates()[0].items()}


def test_the_roll_up_counts_every_row_once(settings: Settings, finished: Sent) -> None:
    connection = connect(settings, "endpoint", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT SUM(n) FROM flow_hourly")
        counted = cursor.fetchone()[0]
        cursor.execute("SELECT COUNT(*) FROM traffic_data")
        assert counted == cursor.fetchone()[0]


def test_ledger_ranges_follow_each_other(settings: Settings, finished: Sent) -> None:
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT query, offsets_start, offsets_end FROM batch_ledger ORDER BY query, batch_id"
            )
            rows = cursor.fetchall()
        assert len({query for query, _, _ in rows}) == 1
        reached: dict[str, int] = {}
        for _, start, end in rows:
            assert all(reached.get(partition, 0) == offset for partition, offset in json.loads(start).items())
            reached |= json.loads(end)


def test_alerts_are_the_oracles_once_in_table_and_once_in_redis(settings: Settings, finished: Sent) -> None:
    frame = pl.DataFrame(
        [(p.gcxh, p.kkmc, p.hpzl, p.hphm, p.clppxh, p.gcsj) for p in finished.passes()],
        schema=["gcxh", "kkmc", "hpzl", "hphm", "clppxh", "gcsj"],
        orient="row",
    ).with_columns(pl.col("gcsj").dt.epoch("s").alias("t"), pl.lit(None, dtype=pl.Int64).alias("arrival"))
    in_window = frame.filter(pl.col("t") > frame["t"].median() - 86_400).select(BATCH_SCHEMA.names)
    batch = in_window.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
    rules = load_rules(settings)
    found = find_contradictions(empty_state(), batch, rules)[1]
    oracle = judge(found, rules, "2024-01-01T00:00:00.000+08:00")
    assert {(one.first.gcxh, one.second.gcxh) for one in oracle} == finished.clones

    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT alert_id, body FROM warnings")
        table = dict(cursor.fetchall())
    assert set(table) == {one.alert_id for one in oracle}
    listed = [json.loads(body) for body in redis_client(settings).lrange(redis_keys.WARNINGS, 0, -1)]
    assert Counter(alert["alert_id"] for alert in listed) == Counter(table.keys())
    assert all(json.loads(table[alert["alert_id"]]) == alert for alert in listed)


def test_what_was_withheld_is_counted_once(settings: Settings, finished: Sent) -> None:
    counts = redis_client(settings).hgetall(redis_keys.DETECTION_COUNTS)
    masked = sum(one.hphm == CUT_PLATE for one in finished.passes())
    assert int(counts["withheld"]) == masked >= MASKED
    assert int(counts["passes"]) == len(finished.passes())
    assert int(counts["late"]) == len(GOOD), "only the odd ones are from another year"
    assert int(counts["contradictions"]) == len(finished.clones)
    progress = redis_client(settings).hgetall(redis_keys.STREAM_PROGRESS)
    ends = {int(p): end for p, end in json.loads(progress["offsets"]).items()}
    assert sum(ends.values()) <= len(finished.records) and progress["at"].endswith("+08:00")


@pytest.mark.usefixtures("finished")
def test_another_format_stops_the_job_in_clear_words(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"detection_buckets": settings.detection_buckets + 1})
    job = Job(other, tmp_path / "log")
    assert job.process.wait(60) == 1
    assert "remove that folder" in job.tail() and "Traceback" not in job.tail()
