"""The Kafka side of shipping: a producer that loses nothing, and what the topic already holds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from etl.ship.follow import Line
from kakou.connections import kafka_options
from kakou.settings import Settings

SOURCE_HEADER: Final = "src"
PLATE_COLUMN: Final = 6
LARGEST_REQUEST: Final = 16 << 20
_FIRST_LOOK_BACK, _LONGEST_LOOK_BACK = 2_000, 1_024_000
# A killed shipper's last bytes may still lie in the broker's socket.
_SETTLE_SECONDS: Final = 0.3


def open_producer(settings: Settings) -> KafkaProducer:
    """An idempotent producer: a retry inside the library never doubles or reorders a record of a partition.

    Raises:
        kafka.errors.KafkaError: the broker does not answer.
    """
    return KafkaProducer(
        **kafka_options(settings),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=5,
        batch_size=1 << 16,
        max_request_size=LARGEST_REQUEST,
        request_timeout_ms=10_000,
        delivery_timeout_ms=60_000,
        max_block_ms=10_000,
        bootstrap_timeout_ms=5_000,
        reconnect_backoff_max_ms=1_000,
        # A missing topic is the operator's to make, with its partitions and retention.
        allow_auto_create_topics=False,
    )


def key_of(line: bytes) -> bytes:
    """The plate, so that passes of one vehicle stay in order; empty for a line that has no such column."""
    columns = line.split(b"\t", PLATE_COLUMN + 1)
    return columns[PLATE_COLUMN] if len(columns) > PLATE_COLUMN else b""


def send(producer: KafkaProducer, topic: str, line: Line) -> Any:
    """Hands a line to the producer as it is; the header says where it came from, see ``shipped_beyond``."""
    source = f"{line.file}:{line.start}".encode()
    return producer.send(topic, value=line.data, key=key_of(line.data), headers=[(SOURCE_HEADER, source)])


def shipped_beyond(
    settings: Settings, positions: Mapping[str, int], present: list[str]
) -> set[tuple[str, int]]:
    """Lines (file, start) that the topic holds although the saved positions do not say so.

    Between an acknowledgement and the saving of a position a process may be killed. Each record says where
    its line lay, so the tail of each partition, read back to before the saved position, tells what needs no
    second sending.

    Raises:
        kafka.errors.KafkaError: the broker does not answer.
    """
    time.sleep(_SETTLE_SECONDS)
    consumer = KafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        bootstrap_timeout_ms=5_000,
        request_timeout_ms=10_000,
    )
    try:
        numbers = consumer.partitions_for_topic(settings.topic) or set()
        partitions = [TopicPartition(settings.topic, number) for number in sorted(numbers)]
        begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        found: set[tuple[str, int]] = set()
        for partition in partitions:
            found |= _tail(consumer, partition, begin[partition], end[partition], positions, present)
        return found
    finally:
        consumer.close()


def _tail(
    consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int, positions: Mapping[str, int],
    present: list[str],
) -> set[tuple[str, int]]:  # fmt: skip
    look_back = _FIRST_LOOK_BACK
    while True:
        first = max(begin, end - look_back)
        sources = _sources(consumer, partition, first, end)
        beyond = {
            (file, start) for file, start in sources if start >= positions.get(file, 0) and file in present
        }
        # Old enough: some record lies before its saved position, or the whole partition was read.
        enough = len(beyond) < len(sources)
        if enough or first == begin or look_back >= _LONGEST_LOOK_BACK:
            return beyond
        look_back *= 4


def _sources(
    consumer: KafkaConsumer, partition: TopicPartition, first: int, end: int
) -> list[tuple[str, int]]:
    answer = []
    consumer.assign([partition])
    consumer.seek(partition, first)
    while consumer.position(partition) < end:
        for records in consumer.poll(timeout_ms=1000).values():
            for record in records:
                source = dict(record.headers or ()).get(SOURCE_HEADER)
                if source and record.offset < end:
                    file, _, start = source.decode("ascii", "replace").rpartition(":")
                    answer.append((file, int(start)) if start.isdigit() else (file, 0))
    return answer
