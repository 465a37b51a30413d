"""A topic, its records and what the stream's sinks make of them, batch by batch, without Spark."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

import polars as pl
from kafka import KafkaProducer

from kakou.connections import connect, kafka_options, node_names
from kakou.errors import Reject
from kakou.fields import COLUMNS_12
from kakou.passage import parse_passage
from kakou.settings import Settings
from kakou.stack.topics import ensure_topics
from spark_jobs.producer_log import Attempt
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import Nodes
from spark_jobs.sinks.rejected import RejectedTopic
from spark_jobs.sinks.sorting import ID_CONFLICT, sort_out
from spark_jobs.topic_reading import read_span, spans_of, topic_consumer
from sql.gates import ensure_gates

Place = tuple[int, int]
QUERY = "ingest-of-tests"
TABLES = (
    "traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger", "closed_days",
)  # fmt: skip
_SCHEMA = {
    "partition": pl.Int32, "offset": pl.Int64, "value": pl.Binary, "size": pl.Int32, "reason": pl.String,
    **dict.fromkeys(COLUMNS_12, pl.String),
}  # fmt: skip


def fresh_topics(stack: Settings, partitions: int = 2, **changes: Any) -> Settings:
    """Empty tables, no archive, and two topics that nobody has used."""
    name = f"topic-{uuid4().hex[:8]}"
    topics = {"topic": name, "rejected_topic": f"{name}-rejected", "partitions": partitions}
    settings = stack.model_copy(update=topics | changes)
    for node in node_names(settings):
        with connect(settings, node, "root", autocommit=True) as connection, connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")
    shutil.rmtree(settings.history_dir, ignore_errors=True)
    ensure_topics(settings)
    return settings


def produce(settings: Settings, values: Iterable[bytes | None], by: str = "") -> list[Attempt]:
    """Sends records, those with a plate by its key; returns what a producer would have logged."""
    producer = KafkaProducer(**kafka_options(settings), acks="all", enable_idempotence=True)
    attempts = []
    try:
        sent = [(value, producer.send(settings.topic, key=_key(value), value=value)) for value in values]
        producer.flush()
        for value, future in sent:
            told = future.get(30)
            gcxh = (value or b"").partition(b"\t")[0].decode("utf-8", "replace")
            attempts.append(Attempt(gcxh, "ok", told.partition, told.offset))
    finally:
        producer.close()
    return attempts


class Stream:
    """The sinks, fed from the topic: each ``take`` is one batch up to the end of the topic."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reached: dict[int, int] = {}
        self.number = 0

    def take(self) -> None:
        """One batch, as the stream writes it."""
        settings = self.settings
        with topic_consumer(settings) as consumer:
            spans = {
                number: (self.reached.get(number, start), end)
                for number, (start, end) in spans_of(consumer, settings.topic).items()
            }
            rows = [_row(one) for some in read_span(consumer, settings.topic, spans) for one in some]
        batch = Batch(
            QUERY, self.number, {n: a for n, (a, _) in spans.items()}, {n: b for n, (_, b) in spans.items()}
        )
        self._write(batch, pl.DataFrame(rows, schema=_SCHEMA, orient="row"))
        self.reached, self.number = dict(batch.end), self.number + 1

    def _write(self, batch: Batch, rows: pl.DataFrame) -> None:
        good, bad = rows.filter(pl.col("reason").is_null()), rows.filter(pl.col("reason").is_not_null())
        store, topic = Nodes(self.settings), RejectedTopic(self.settings)
        try:
            with store.begin(batch) as writing:
                parts = sort_out(
                    good.select("partition", "offset", *COLUMNS_12),
                    writing.stored_under(good["gcxh"].to_list()),
                )
                conflicts = rows.join(
                    parts.conflicts.select("partition", "offset"), on=["partition", "offset"]
                )
                refused = pl.concat([bad, conflicts.with_columns(pl.lit(ID_CONFLICT).alias("reason"))])
                topic.send(refused)
                ensure_gates(self.settings, parts.fresh["kkmc"].unique().to_list())
                writing.add(parts, refused.select("partition", "offset", "reason"))
                writing.commit()
        finally:
            store.close()
            topic.close()


def ask(settings: Settings, statement: str, values: Sequence[Any] = (), node: str | None = None) -> list[Any]:
    """Runs a statement on one node, or on all; returns the rows of all together."""
    found: list[Any] = []
    for name in [node] if node else node_names(settings):
        with connect(settings, name, "root", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            found += cursor.fetchall()
    return found


def _key(value: bytes | None) -> bytes:
    fields = (value or b"").split(b"\t")
    return fields[6] if len(fields) == 12 else b"odd"


def _row(record: Any) -> tuple[Any, ...]:
    value = record.value
    parsed = parse_passage(value or b"")
    size = None if value is None else len(value)
    if isinstance(parsed, Reject):
        return (record.partition, record.offset, value, size, parsed.reason, *[None] * 12)
    return (record.partition, record.offset, value, size, None, *value.decode().split("\t"))
