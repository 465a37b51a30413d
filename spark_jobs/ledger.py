"""The proof that nothing was lost and nothing doubled: every offset of the topic has exactly one fate.

stored (a row of ``traffic_data`` that names it), duplicate (a row of ``duplicate_records``) or rejected (a
record of the rejected topic whose headers name it). ``balance`` is the rule, ``read_ledger`` the edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from kakou.connections import connect, kafka_options, node_names
from kakou.settings import Settings

Place = tuple[int, int]


@dataclass(frozen=True)
class PartitionLedger:
    """Fates of the offsets ``[start, end)`` of one partition; ``gaps`` have none."""

    partition: int
    start: int
    end: int
    stored: int
    rejected: int
    duplicate: int
    gaps: int


@dataclass(frozen=True)
class Ledger:
    """What ``kakou ledger check`` says.

    Attributes:
        lost: offsets without a fate.
        doubled: offsets with two fates or two rows, and ids that lie on two nodes.
        unexpected: fates of offsets that the topic does not have.
    """

    partitions: tuple[PartitionLedger, ...]
    lost: int
    doubled: int
    unexpected: int

    @property
    def balanced(self) -> bool:
        """True if every offset has exactly one fate."""
        return not (self.lost or self.doubled or self.unexpected)


def balance(
    spans: Mapping[int, tuple[int, int]],
    stored: Iterable[tuple[str, int, int]],
    duplicates: Iterable[Place],
    rejected: Iterable[Place],
) -> Ledger:
    """Compares offsets with fates.

    Args:
        spans: partition to its first offset and the one after its last.
        stored: (id, partition, offset) of every row, all nodes together.
        duplicates: places of repeated records.
        rejected: places that rejected records name; one that was sent twice counts once.
    """
    rows = list(stored)
    twice, thrown = set(duplicates), set(rejected)
    fates = Counter([(partition, offset) for _, partition, offset in rows])
    fates.update(twice)
    fates.update(thrown)
    ids = Counter(row[0] for row in rows)
    doubled = sum(n - 1 for n in fates.values()) + sum(n - 1 for n in ids.values())
    kept = {(partition, offset) for _, partition, offset in rows}
    partitions = []
    for partition, (start, end) in sorted(spans.items()):
        every = {(partition, offset) for offset in range(start, end)}
        partitions.append(
            PartitionLedger(
                partition,
                start,
                end,
                len(every & kept),
                len(every & thrown),
                len(every & twice),
                len(every - fates.keys()),
            )
        )
    unexpected = sum(
        1 for partition, offset in fates if not (p := spans.get(partition)) or not p[0] <= offset < p[1]
    )
    return Ledger(tuple(partitions), sum(one.gaps for one in partitions), doubled, unexpected)


def read_ledger(settings: Settings) -> Ledger:
    """Reads both nodes and both topics. All in memory: for tests and for a topic of some million records."""
    stored: list[tuple[str, int, int]] = []
    duplicates: list[Place] = []
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, kafka_partition, kafka_offset FROM traffic_data WHERE kafka_offset IS NOT NULL"
            )
            stored += cursor.fetchall()
            cursor.execute("SELECT kafka_partition, kafka_offset FROM duplicate_records")
            duplicates += cursor.fetchall()
    rejected = [place for place, _, _ in rejected_records(settings)]
    return balance(topic_spans(settings), stored, duplicates, rejected)


def topic_spans(settings: Settings) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last of each partition of the topic of passes."""
    consumer = KafkaConsumer(**kafka_options(settings))
    try:
        partitions = [TopicPartition(settings.topic, number) for number in range(settings.partitions)]
        start, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return {one.partition: (start[one], end[one]) for one in partitions}
    finally:
        consumer.close()


def rejected_records(settings: Settings) -> list[tuple[Place, str, bytes | None]]:
    """Every record of the rejected topic that is from our topic: its place there, the reason, its bytes."""
    consumer = KafkaConsumer(**kafka_options(settings), consumer_timeout_ms=10_000)
    found: list[tuple[Place, str, bytes | None]] = []
    try:
        partition = TopicPartition(settings.rejected_topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=1_000).values():
                found += [_rejected(record) for record in records if _is_from(record, settings.topic)]
    finally:
        consumer.close()
    return found


def _headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def _is_from(record: Any, topic: str) -> bool:
    return _headers(record)["topic"] == topic


def _rejected(record: Any) -> tuple[Place, str, bytes | None]:
    headers = _headers(record)
    return (int(headers["partition"]), int(headers["offset"])), headers["reason"], record.value
