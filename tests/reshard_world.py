"""Some thousand passes over forty gates in a topic and on nodes, readers that look on, runs that die."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
import pymysql
from kafka import KafkaProducer

from kakou.connections import connect, kafka_options, node_names
from kakou.fields import COLUMNS_12
from kakou.passage import Passage, format_passage
from kakou.settings import Settings
from kakou.topology import load_topology
from spark_jobs.ingest import Ingest
from spark_jobs.offset_log import OffsetLog
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.sorting import sort_out

GATES = [f"RS_Gate_K{n}" for n in range(40)]
RECORDS, REPEATED, BATCHES, PARTITIONS = 6_000, 200, 6, 4
DAY = datetime(2024, 1, 15)
QUERY = "ingest-reshard-test"
PARSED = {
    "partition": pl.Int32,
    "offset": pl.Int64,
    "reason": pl.String,
    "value": pl.Binary,
    "size": pl.Int32,
    **dict.fromkeys(COLUMNS_12, pl.String),
}


def record(number: int) -> bytes:
    """Pass ``number`` in its wire form; gates, hours and provinces are mixed."""
    moment = DAY + timedelta(seconds=number * 11 % 86_400)
    gate, plate = GATES[number * 7 % 40], f"苏C{number % 900:05d}"
    province = ("江苏", "安徽", "山东")[number % 3]
    vehicle = ("02", plate, "大众牌", province, 0, 0, "小型汽车")
    return format_passage(Passage(f"rs-{number}", "丰县", gate, "1", moment, *vehicle))


@dataclass
class Sent:
    """What lies in the topic, by partition, in order."""

    records: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])

    def batch(self, number: int) -> tuple[Batch, pl.DataFrame]:
        """Micro-batch ``number`` of ``BATCHES``: its name and its rows, as the stream parses them."""
        start, end, rows = {}, {}, []
        for partition, sent in enumerate(self.records):
            size = -(-len(sent) // BATCHES)
            start[partition], end[partition] = number * size, min((number + 1) * size, len(sent))
            for offset in range(start[partition], end[partition]):
                fields = sent[offset].decode().split("\t")
                rows.append((partition, offset, None, None, len(sent[offset]), *fields))
        return Batch(QUERY, number, start, end), pl.DataFrame(rows, schema=PARSED, orient="row")


def produce(settings: Settings) -> Sent:
    """Every pass once, and some a second time a little later; equal passes lie in one partition."""
    sent = Sent()
    for number in range(RECORDS):
        sent.records[number % PARTITIONS].append(record(number))
        if number % (RECORDS // REPEATED) == 0 and number > 400:
            again = number - 400
            sent.records[again % PARTITIONS].append(record(again))
    producer = KafkaProducer(**kafka_options(settings), linger_ms=5)
    for partition, values in enumerate(sent.records):
        for value in values:
            producer.send(settings.topic, key=b"k", value=value, partition=partition)
    producer.flush()
    producer.close()
    return sent


@contextmanager
def stream(settings: Settings) -> Iterator[Ingest]:
    """The sink of the stream, without Spark in front of it."""
    ingest = Ingest(settings, lambda: QUERY, OffsetLog(settings.checkpoint_dir / "ingest", settings.topic))
    try:
        yield ingest
    finally:
        ingest.close()


def store(settings: Settings, sent: Sent, number: int) -> dict[str, int]:
    """Takes one batch as the stream does; what it counted."""
    batch, rows = sent.batch(number)
    with stream(settings) as ingest:
        return ingest.take(batch, [rows], set())


def store_half(settings: Settings, sent: Sent, number: int) -> None:
    """A batch whose last node goes away when the others have committed."""
    batch, rows = sent.batch(number)
    with stream(settings) as ingest:
        try:
            with ingest._store.begin(batch) as writing:
                good = rows.select("partition", "offset", *COLUMNS_12)
                parts = sort_out(good, writing.stored_under(good["gcxh"].to_list()))
                writing.add(parts, good.clear().with_columns(pl.lit("").alias("reason")))
                _kill_writers(settings, node_names(settings)[-1])
                writing.commit()
        except pymysql.MySQLError:
            return
    raise AssertionError("the last node committed too")


def _kill_writers(settings: Settings, node: str) -> None:
    root = connect(settings, node, "root", autocommit=True)
    with root, root.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'kakou_writer'")
        for (number,) in cursor.fetchall():
            cursor.execute(f"KILL {int(number)}")


def ask(settings: Settings, server: str, statement: str) -> list[tuple[object, ...]]:
    """Rows of one query, as the reader."""
    with connect(settings, server, "kakou_reader", autocommit=True) as reader, reader.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def rows_by_node(settings: Settings) -> dict[str, set[tuple[str, str]]]:
    """(id, gate) of every pass on each node."""
    return {
        node: {(str(id), str(gate)) for id, gate in ask(settings, node, "SELECT id, kkmc FROM traffic_data")}
        for node in node_names(settings)
    }


def misplaced(settings: Settings) -> list[tuple[str, str]]:
    """(node, gate) of passes and roll-ups that lie where the ring does not put them."""
    ring = load_topology(settings.topology_dir).ring
    return [
        (node, str(gate))
        for node in ring.nodes
        for table in ("traffic_data", "flow_hourly")
        for (gate,) in ask(settings, node, f"SELECT DISTINCT kkmc FROM {table}")
        if ring.locate(str(gate)) != node
    ]


class Watch:
    """Readers at 8066 that ask again and again, and what they were told.

    Attributes:
        told: (question, answer) to how often.
        slowest: the longest that an answer took, in seconds.
    """

    QUESTIONS = (
        "SELECT COUNT(*) FROM traffic_data",
        "SELECT COUNT(*), COUNT(DISTINCT kkmc) FROM traffic_data WHERE province = '江苏'",
        "SELECT SUM(n) FROM flow_hourly",
        "SELECT kkmc, SUM(n) FROM flow_hourly GROUP BY kkmc ORDER BY kkmc",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self.told: Counter[tuple[str, str]] = Counter()
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]

    def _ask(self) -> None:
        reader = connect(self._settings, "endpoint", "kakou_reader", autocommit=True)
        with reader, reader.cursor() as cursor:
            while not self._stop.wait(0.1):
                for question in self.QUESTIONS:
                    began = time.monotonic()
                    try:
                        cursor.execute(question)
                        answer = str(cursor.fetchall())
                    except pymysql.MySQLError as error:
                        answer = repr(error)
                    self.told[question, answer] += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answers(self, question: str) -> list[str]:
        """Every different answer to one question."""
        return [answer for asked, answer in self.told if asked == question]
