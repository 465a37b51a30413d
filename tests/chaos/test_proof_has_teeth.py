"""The ledger must fail where the stream is broken on purpose; a proof that cannot fail proves nothing.

No Spark: two batches in slices go straight through the sink of the stream into real nodes, from a real topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import polars as pl
import pymysql
import pytest
from kafka import KafkaProducer
from poison import POISON, line

from kakou.connections import connect, kafka_options, node_names
from kakou.errors import StorageError
from kakou.fields import COLUMNS_12
from kakou.passage import Passage, format_passage, parse_passage
from kakou.settings import Settings
from kakou.stack.topics import ensure_topics
from kakou.topology import load_topology
from spark_jobs import ingest
from spark_jobs.ingest import Ingest
from spark_jobs.ledger.check import read_ledger
from spark_jobs.ledger.evidence import Ledger
from spark_jobs.offset_log import OffsetLog, Span
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import NodesBatch
from spark_jobs.sinks.rejected import RejectedTopic
from spark_jobs.sinks.rows import STORED_SCHEMA
from spark_jobs.sinks.sorting import Sorted, sort_out
from sql.gates import ensure_gates

pytestmark = pytest.mark.integration
TABLES = ("traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger")
GOOD, REPEATED, CONFLICTS = 60, 6, 5
FIRST, SLICE = 40, 20  # records of the first batch, and of a slice
SCHEMA = {
    "partition": pl.Int32, "offset": pl.Int64, "reason": pl.String, "value": pl.Binary, "size": pl.Int32,
    **dict.fromkeys(COLUMNS_12, pl.String),
}  # fmt: skip
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Topic:
    """A topic of one partition and what it holds, cut into two batches."""

    settings: Settings
    rows: pl.DataFrame

    def batch(self, number: int) -> Batch:
        start, end = (0, FIRST) if number == 0 else (FIRST, len(self.rows))
        return Batch("ingest-teeth", number, {0: start}, {0: end})

    def slices(self, batch: Batch) -> Iterator[pl.DataFrame]:
        cuts = Span(batch.start, batch.end).cuts(SLICE)
        return (self.rows.slice(cut.start[0], cut.size) for cut in cuts)


def gates_of_each_node(settings: Settings) -> dict[str, list[str]]:
    ring = load_topology(settings.topology_dir).ring
    gates: dict[str, list[str]] = {node: [] for node in node_names(settings)}
    for n in range(40):
        gates[ring.locate(f"TEETH_G{n}")].append(f"TEETH_G{n}")
    return gates


def values(settings: Settings) -> list[bytes]:
    """Good records; then some of them again, others under known ids at a gate of the other node, and
    poison."""
    here, there = (gates[:3] for gates in gates_of_each_node(settings).values())
    ensure_gates(settings, [*here, *there])
    good = [line(f0=f"teeth-{n}", f2=(here if n % 2 else there)[n % 3]) for n in range(GOOD)]
    conflicts = [line(f0=f"teeth-{n}", f2=(there if n % 2 else here)[0], f7="另") for n in range(CONFLICTS)]
    return [*good, *good[-REPEATED:], *conflicts, *(raw for _, raw, _ in POISON if len(raw) < 4_096)]


def row(offset: int, value: bytes) -> tuple[object, ...]:
    """As Spark hands it over."""
    read = parse_passage(value)
    if not isinstance(read, Passage):
        return (0, offset, read.reason, value, len(value), *[""] * len(COLUMNS_12))
    return (0, offset, None, None, len(value), *format_passage(read).decode().split("\t"))


@pytest.fixture
def topic(stack: Settings, request: pytest.FixtureRequest) -> Topic:
    """A fresh topic and empty tables."""
    name = f"teeth-{abs(hash(request.node.name))}"
    ours = stack.model_copy(update={"topic": name, "rejected_topic": f"{name}-rejected", "partitions": 1})
    ensure_topics(ours)
    for node in node_names(ours):
        connection = connect(ours, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")
    producer = KafkaProducer(**kafka_options(ours))
    sent = values(ours)
    for value in sent:
        producer.send(name, key=b"", value=value)
    producer.flush()
    producer.close()
    rows = [row(offset, value) for offset, value in enumerate(sent)]
    return Topic(ours, pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def run(topic: Topic, cut: Callable[[Iterable[pl.DataFrame]], Iterable[pl.DataFrame]] = iter) -> Ledger:
    """Both batches, and the second once more, as after a death before Spark's commit log."""
    sink = Ingest(topic.settings, lambda: "teeth", OffsetLog(topic.settings.var, topic.settings.topic))
    try:
        for number in (0, 1, 1):
            batch = topic.batch(number)
            sink.take(batch, cut(topic.slices(batch)), set())
    finally:
        sink.close()
    return read_ledger(topic.settings)


def broken(ledger: Ledger) -> set[str]:
    assert not ledger.balanced
    return set(ledger.broken)


def test_sound_code_balances(topic: Topic) -> None:
    ledger = run(topic)
    assert ledger.balanced, ledger
    (one,) = ledger.partitions
    assert (one.stored, one.duplicate) == (GOOD, REPEATED)
    assert one.rejected == len(topic.rows) - GOOD - REPEATED > CONFLICTS


def nothing_is_known(_self: NodesBatch, _ids: list[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=STORED_SCHEMA)


def test_an_id_on_both_nodes_is_doubled(topic: Topic, monkeypatch: Patch) -> None:
    """Deduplication is broken: nobody looks what is stored."""
    monkeypatch.setattr(NodesBatch, "stored_under", nothing_is_known)
    repeats = pl.col("offset").is_between(GOOD, GOOD + REPEATED - 1)
    ledger = run(topic, lambda slices: (part.filter(~repeats) for part in slices))
    assert ledger.doubled == CONFLICTS
    assert "L3" in broken(ledger)


def test_a_repeat_that_is_taken_for_new_cannot_be_hidden(topic: Topic, monkeypatch: Patch) -> None:
    """The same breakage where the repeat falls on the node of the first: the node takes fewer rows than it
    was given."""
    monkeypatch.setattr(NodesBatch, "stored_under", nothing_is_known)
    with pytest.raises(StorageError, match="rolled back"):
        run(topic)
    assert read_ledger(topic.settings).lost == len(topic.rows) - FIRST


def test_a_batch_that_comes_again_unnoticed_cannot_be_hidden(topic: Topic, monkeypatch: Patch) -> None:
    monkeypatch.setattr("spark_jobs.sinks.nodes.is_written", lambda *_: False)
    with pytest.raises(pymysql.IntegrityError, match="Duplicate entry"):
        run(topic)
    assert read_ledger(topic.settings).balanced


def test_a_dropped_slice_is_lost(topic: Topic) -> None:
    def without_the_second(slices: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        return (part for number, part in enumerate(slices) if number != 1)

    ledger = run(topic, without_the_second)
    assert ledger.lost >= 2 * SLICE
    assert {"L1", "L2"} <= broken(ledger)


def test_a_node_that_is_left_out_is_lost(topic: Topic, monkeypatch: Patch) -> None:
    whole = NodesBatch.commit

    def only_the_first(self: NodesBatch) -> None:
        if self._batch.number == 1:
            self._nodes = self._nodes[:1]
        whole(self)

    monkeypatch.setattr(NodesBatch, "commit", only_the_first)
    monkeypatch.setattr(NodesBatch, "done", property(lambda self: self._nodes[0].written))
    ledger = run(topic)
    assert ledger.lost >= (GOOD - FIRST) / 2
    assert {"L1", "L2", "L6"} <= broken(ledger)


def test_refused_bytes_that_nobody_kept_are_lost(topic: Topic, monkeypatch: Patch) -> None:
    monkeypatch.setattr(RejectedTopic, "send", lambda *_: None)
    ledger = run(topic)
    assert ledger.lost == topic.rows["reason"].is_not_null().sum() + CONFLICTS
    assert broken(ledger) == {"bytes"}


def otherwise(change: Callable[[Sorted], Sorted]) -> Callable[[pl.DataFrame, pl.DataFrame], Sorted]:
    return lambda good, stored: change(sort_out(good, stored))


def test_a_conflict_that_is_called_a_repeat_is_lost(topic: Topic, monkeypatch: Patch) -> None:
    def softened(parts: Sorted) -> Sorted:
        both = pl.concat([parts.duplicates, parts.conflicts])
        return replace(parts, duplicates=both, conflicts=parts.conflicts.clear())

    monkeypatch.setattr(ingest, "sort_out", otherwise(softened))
    ledger = run(topic)
    assert ledger.lost == CONFLICTS
    assert broken(ledger) == {"L2"}


def test_a_field_that_changes_on_the_way_is_noticed(topic: Topic, monkeypatch: Patch) -> None:
    def retouched(parts: Sorted) -> Sorted:
        return replace(parts, fresh=parts.fresh.with_columns(pl.lit("别").alias("clppxh")))

    monkeypatch.setattr(ingest, "sort_out", otherwise(retouched))
    assert "L5" in broken(run(topic))


def test_a_row_of_nothing_is_unexpected(topic: Topic, monkeypatch: Patch) -> None:
    """A row more than the topic has records, at a place that the topic does not have."""

    def with_a_ghost(parts: Sorted) -> Sorted:
        ghost = parts.fresh.filter(pl.col("offset") == 0).with_columns(
            pl.lit("teeth-ghost").alias("gcxh"), pl.lit(10**6, dtype=pl.Int64).alias("offset")
        )
        return replace(parts, fresh=pl.concat([parts.fresh, ghost]))

    monkeypatch.setattr(ingest, "sort_out", otherwise(with_a_ghost))
    ledger = run(topic)
    assert (ledger.lost, ledger.unexpected) == (0, 1)
    assert "L4" in broken(ledger)


def test_a_half_commit_shows_until_it_is_made_good(topic: Topic, monkeypatch: Patch) -> None:
    """Death between the nodes (F3), seen by the ledger before and after the batch comes again."""
    whole = NodesBatch.commit

    def only_the_first(self: NodesBatch) -> None:
        if self._batch.number == 1:
            self._nodes = self._nodes[:1]
        whole(self)
        if self._batch.number == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(NodesBatch, "commit", only_the_first)
        with pytest.raises(KeyboardInterrupt):
            run(topic)
    half = read_ledger(topic.settings)
    assert "L6" in broken(half) and half.lost > 0
    assert run(topic).balanced
