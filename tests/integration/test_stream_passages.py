"""The stream as a process: good, repeated, conflicting, poisoned and cloned records, late and out of order.

On the way it dies between the commits of two nodes (F3), loses a commit log of each query (F1), and the topic
grows. Ends with the ledger: every offset has one fate, every alert the oracle finds is in the table once and
in Redis once.
"""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from alert_oracle import contradictions, demand_alerts, stored_passes
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewPartitions
from poison import GOOD, POISON, line
from stream_process import Job, detected, forget_last_commit, handled

from kakou import redis_keys
from kakou.connections import connect, kafka_options, node_names, redis_client
from kakou.fields import DIMENSION_COLUMNS
from kakou.passage import Passage, format_passage, parse_passage
from kakou.settings import Settings
from kakou.stack.topics import ensure_topics
from spark_jobs.ledger.check import read_ledger
from spark_jobs.rejected.records import rejected_records
from spark_jobs.stream_commands import query_states
from sql.gates import load_gates

pytestmark = [pytest.mark.integration, pytest.mark.spark]
GATES = {f"ST_G{n}": (116.5 + n * 0.5, 34.3) for n in range(6)}  # 46 km apart: 828 s at 200 km/h
RECORDS, MASKED, LATER, POISONED = 3_000, 40, 50, 5
# Two hours arrive in a second or two, as when a shipper was away: nothing of that is late.
SPAN = timedelta(minutes=115)
# In records, of which one is 2.3 s. A record that comes so much later is inside the lateness, or outside.
JITTER, INSIDE, OUTSIDE = 200, 500, 1_600
SLOW = timedelta(minutes=10)  # the clock of the last gate is so far behind
LARGE = line(f7="牌" * 345_000)  # 1 MB, all that Kafka takes in one record
CUT_PLATE, HONEST = "苏C12***", "苏C".encode()
DYING = Path(__file__).parents[1] / "chaos" / "dying_stream.py"


@dataclass
class Sent:
    """What was produced, in order.

    Attributes:
        places: where the broker put each.
        poison: what must be refused, by reason.
        clones: ids of the passes of each clone that can be found.
        late: ids of passes that come after the lateness. future: those stamped a day ahead.
    """

    records: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    poison: Counter[str] = field(default_factory=Counter)
    clones: set[tuple[str, str]] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    future: set[str] = field(default_factory=set)

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


def one_pass(gcxh: str, plate: str, gate: str, time: datetime, brand: str = "大众牌") -> Passage:
    return Passage(gcxh, "丰县", gate, "1", time, "02", plate, brand, "江苏", 0, 0, "小型汽车")


class Arrivals:
    """Records with the rank in which they come: that of their pass, but out of order within ``JITTER``."""

    def __init__(self, dice: random.Random) -> None:
        self.rows: list[tuple[float, bytes, bytes]] = []
        self._dice = dice

    def add(self, rank: float, *passes: Passage) -> None:
        """Passes that come together, one behind the other."""
        rank += self._dice.uniform(0, JITTER)
        for n, one in enumerate(passes):
            self.rows.append((rank + n / 100, one.hphm.encode(), format_passage(one)))


def traffic() -> Sent:
    """Some thousand records around now. Honest cars stay at their gate: only what is planted is a clone."""
    sent, dice, gates = Sent(), random.Random(7), list(GATES)
    arrivals = Arrivals(dice)
    now = datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None, microsecond=0)
    for n in range(RECORDS):
        plate, gate = f"苏C{n % 900:05d}", gates[n % 900 % 6]
        moment = (now - SPAN + SPAN * n / RECORDS).replace(microsecond=0)
        honest = one_pass(f"st-{n}", plate, gate, moment - SLOW if gate == gates[-1] else moment)
        # Under some ids come other passes too, some of them at a gate of the other node.
        others = [replace(honest, kkmc=other, clppxh=f"另{other}") for other in gates] if n % 200 == 0 else []
        arrivals.add(n, honest, *others)
        if n % 40 == 0:  # a record comes again, sooner or later
            rank, key, value = dice.choice([row for row in arrivals.rows[-100:] if row[1][:4] == HONEST])
            arrivals.rows.append((max(rank, n), key, value))
        if n % 100 == 50:
            plant_clone(sent, arrivals, n, moment)
        if n < MASKED:
            arrivals.add(n, one_pass(f"st-masked-{n}", CUT_PLATE, gates[n % 6], moment))
    sent.records = [(key, value) for _, key, value in sorted(arrivals.rows, key=lambda row: row[0])]
    plant_poison(sent, dice)
    for n, raw in enumerate(GOOD):
        fields = raw.split(b"\t")
        fields[0], fields[6] = f"st-odd-{n}".encode(), f"浙A00{n:03d}".encode()
        sent.records.append((b"odd", b"\t".join(fields)))
        sent.late.add(f"st-odd-{n}")  # from another year
    return sent


def plant_clone(sent: Sent, arrivals: Arrivals, n: int, moment: datetime) -> None:
    """Two passes a minute apart; by turns the second comes at once, late, too late, or from the slow gate."""
    gates, plate, ids = list(GATES), f"苏D{n:05d}", (f"st-clone-{n}-a", f"st-clone-{n}-b")
    kind = n // 100 % 4
    first = one_pass(ids[0], plate, gates[0], moment)
    second = one_pass(ids[1], plate, gates[3], moment + timedelta(minutes=1))
    if kind == 3:
        second = replace(second, kkmc=gates[-1], gcsj=moment - SLOW)
        ids = (ids[1], ids[0])
    delay = {1: INSIDE, 2: OUTSIDE}.get(kind, 0)
    if n + delay + JITTER > RECORDS:
        return
    # A pass from tomorrow: were it believed, all that comes later would be late.
    sent.future.add(f"st-future-{n}")
    arrivals.add(n - JITTER, one_pass(f"st-future-{n}", plate, gates[0], moment + timedelta(days=1)))
    arrivals.add(n, first)
    arrivals.add(n + delay, second)
    if delay == OUTSIDE:
        sent.late.add(ids[1])
    else:
        sent.clones.add(ids)


def plant_poison(sent: Sent, dice: random.Random) -> None:
    """At least a twentieth of all."""
    corpus = [(raw, reason) for _, raw, reason in POISON] * POISONED
    for raw, reason in [*corpus, (LARGE, "too_long"), (None, "column_count")]:
        sent.records.insert(dice.randrange(len(sent.records)), (b"poison", raw))
        sent.poison[reason] += 1
    sent.records.append((None, None))  # nothing at all
    sent.poison["column_count"] += 1


@pytest.fixture(scope="module")
def settings(stack: Settings) -> Iterator[Settings]:
    """The stack with topics, checkpoints and gates of our own, and empty tables."""
    ours = stack.model_copy(
        update={
            "topic": "stream-test",
            "rejected_topic": "stream-test-rejected",
            "max_offsets_per_trigger": 700,
            "slice_records": 400,  # every batch is larger than what may be held at once
        }
    )
    ensure_topics(ours)
    for node in node_names(ours):
        connection = connect(ours, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            tables = ["traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger"]
            for table in [*tables, "warnings", "warning_tracks"] if node == "dn1" else tables:
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
    told = []
    for key, value in sent.records:
        # A key is demanded where there is no value, but an empty one will do.
        told.append(producer.send(settings.topic, key=b"" if key is None else key, value=value))
    producer.flush()
    producer.close()
    sent.places = [(one.partition, one.offset) for one in (future.get(30) for future in told)]
    return sent


def grow_topic(settings: Settings, sent: Sent) -> None:
    """One partition more than when the job began, with records of its own: what a rebalance is to Spark."""
    admin = KafkaAdminClient(**kafka_options(settings))
    admin.create_partitions({settings.topic: NewPartitions(total_count=settings.partitions + 1)})
    admin.close()
    now = datetime.now(ZoneInfo(settings.timezone)).replace(tzinfo=None, microsecond=0)
    producer = KafkaProducer(**kafka_options(settings))
    for n in range(LATER):
        # The backlog is older by an hour; a plate that is not compared does not make it late.
        value = format_passage(one_pass(f"st-later-{n}", CUT_PLATE, list(GATES)[n % 6], now))
        told = producer.send(settings.topic, key=b"later", value=value, partition=settings.partitions).get(30)
        sent.records.append((b"later", value))
        sent.places.append((told.partition, told.offset))
    producer.close()


def last_batches(settings: Settings) -> list[int]:
    """The last batch that each node has committed."""
    found = []
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT MAX(batch_id) FROM batch_ledger")
            found.append(cursor.fetchone()[0])
    return found


@pytest.fixture(scope="module")
def finished(settings: Settings, sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Everything was processed, with a death between two commits and a lost commit of each query on the
    way."""
    log = tmp_path_factory.mktemp("stream") / "stream.log"
    job = Job(settings, log, (str(DYING),))
    job.wait_until("first batches", lambda: handled(settings) > 0)
    assert job.ended(job.family() if job.runs else [], 200) == -signal.SIGKILL, job.tail()
    first, second = last_batches(settings)
    assert first == second + 1, "one node is a batch ahead"
    assert handled(settings) < len(sent.records), "it died too late to show anything"
    for query in ("ingest", "detection"):
        forget_last_commit(settings.checkpoint_dir / query)
    grow_topic(settings, sent)
    job = Job(settings, log)
    good = len(sent.passes())
    job.wait_until(
        "all records", lambda: handled(settings) >= len(sent.records) and detected(settings) >= good
    )
    # Spark tells of a batch a moment after it.
    job.wait_until("the figures", lambda: all(one.lag == 0 for one in query_states(settings)))
    job.stop()
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
    assert len({raw for _, raw, _ in POISON}) >= 20
    assert finished.poison.total() >= len(finished.records) / 20
    value_at = dict(zip(finished.places, (value for _, value in finished.records), strict=True))
    assert {place: raw for place, (_, raw) in rejected.items()} == {
        place: value_at[place] for place in rejected
    }
    assert LARGE in (raw for _, raw in rejected.values())
    connection = connect(settings, node_names(settings)[0], "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT kafka_partition, kafka_offset, reason FROM rejected_records")
        assert {row[:2]: row[2] for row in cursor.fetchall()} == {
            place: reason for place, (reason, _) in rejected.items()
        }


def test_the_stream_says_how_far_it_is(settings: Settings, finished: Sent) -> None:
    states = query_states(settings)
    assert [(one.query, one.lag, one.catch_up_seconds) for one in states] == [
        ("ingest", 0, 0.0),
        ("detection", 0, 0.0),
    ]
    assert all(one.batch and one.batch_seconds and one.at for one in states), states
    # Of detection perhaps one batch was left after the death, and one has no speed.
    assert states[0].handled_per_second, states


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
    """Late inside the lateness, out of order, from a slow gate, beside passes from tomorrow (F10, F11)."""
    on_time = stored_passes(settings).filter(~pl.col("gcxh").is_in(finished.late | finished.future))
    assert contradictions(settings, on_time) == finished.clones
    assert len(finished.clones) > 15 and len(finished.future) > 20
    demand_alerts(settings, finished.clones)


def test_what_was_withheld_is_counted_once(settings: Settings, finished: Sent) -> None:
    counts = redis_client(settings).hgetall(redis_keys.DETECTION_COUNTS)
    masked = sum(one.hphm == CUT_PLATE for one in finished.passes())
    assert int(counts["withheld"]) == masked >= MASKED
    assert int(counts["passes"]) == len(finished.passes())
    assert int(counts["late"]) == len(finished.late) > len(GOOD)
    assert int(counts["future"]) == len(finished.future)
    assert int(counts["contradictions"]) == len(finished.clones)
    progress = redis_client(settings).hgetall(redis_keys.STREAM_PROGRESS)
    ends = {int(p): end for p, end in json.loads(progress["offsets"]).items()}
    assert sum(ends.values()) <= len(finished.records) and progress["at"].endswith("+08:00")


@pytest.mark.usefixtures("finished")
def test_another_format_stops_the_job_in_clear_words(settings: Settings, tmp_path: Path) -> None:
    note = settings.checkpoint_dir / "detection" / "formats.json"
    ours = note.read_text("utf-8")
    note.write_text('{"state": 0, "buckets": 16}', "utf-8")
    try:
        job = Job(settings, tmp_path / "log")
        assert job.process.wait(60) == 1
    finally:
        note.write_text(ours, "utf-8")
    assert "remove that folder" in job.tail() and "Traceback" not in job.tail()
