"""The topic of records that were not understood: their bytes as they came, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from kakou.connections import kafka_options
from kakou.errors import StorageError
from kakou.settings import Settings

_LARGEST: Final = 4 * 1024 * 1024
_FLUSH_BYTES: Final = 8 * 1024 * 1024
_WAIT_S: Final = 60


class RejectedTopic:
    """Produces rejected records. One producer, opened with the first of them.

    ``send`` returns only when the broker has them all. A batch that is repeated after a crash sends its
    records again; the headers topic, partition and offset then name the same original, so a reader counts it
    once.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None

    def send(self, rejected: pl.DataFrame) -> None:
        """Sends rows with ``value`` (bytes), ``size`` (its bytes), ``reason``, ``partition`` and ``offset``.

        A row with a size and no value was too large to carry; its bytes are read from the topic of passes. A
        record that never had a value has no size.

        Raises:
            kafka.errors.KafkaError: the broker is away; none or some of them were sent.
            StorageError: the bytes cannot be read again.
        """
        if rejected.is_empty():
            return
        topic = self._settings.topic.encode()
        waiting: list[Any] = []
        weight = 0
        try:
            for value, reason, partition, offset in self._with_bytes(rejected):
                future = self._open().send(
                    self._settings.rejected_topic,
                    # A record may have no value, and one of both there must be.
                    key=f"{self._settings.topic}/{partition}/{offset}".encode(),
                    value=value,
                    headers=[
                        ("reason", reason.encode()),
                        ("topic", topic),
                        ("partition", str(partition).encode()),
                        ("offset", str(offset).encode()),
                    ],
                )
                waiting.append(future)
                weight += len(value or b"")
                if weight > _FLUSH_BYTES:
                    self._settle(waiting)
                    weight = 0
            self._settle(waiting)
        except Exception:
            self.close()  # an idempotent producer is of no use after an error
            raise

    def close(self) -> None:
        """Closes the producer; the next ``send`` opens another."""
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

    def _settle(self, waiting: list[Any]) -> None:
        self._producer.flush(_WAIT_S)
        for one in waiting:
            one.get(_WAIT_S)
        waiting.clear()

    def _with_bytes(self, rejected: pl.DataFrame) -> Iterator[tuple[bytes | None, str, int, int]]:
        """Value, reason and place of each, in order; large values come from the topic one by one."""
        consumer: Any = None
        try:
            columns = ("value", "size", "reason", "partition", "offset")
            for value, size, reason, partition, offset in rejected.select(columns).iter_rows():
                if value is None and size is not None:
                    consumer = consumer or KafkaConsumer(
                        **kafka_options(self._settings),
                        enable_auto_commit=False,
                        auto_offset_reset="earliest",
                    )
                    value = original_bytes(consumer, self._settings.topic, partition, offset)
                yield value, reason, partition, offset
        finally:
            if consumer is not None:
                consumer.close()

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                **kafka_options(self._settings),
                acks="all",
                enable_idempotence=True,
                max_request_size=_LARGEST,
                max_block_ms=_WAIT_S * 1000,
            )
        return self._producer


def original_bytes(consumer: Any, topic: str, partition: int, offset: int) -> bytes | None:
    """The value of one record of the topic.

    Raises:
        StorageError: Kafka does not give it within a minute, or no longer has it.
    """
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    consumer.seek(place, offset)
    for _ in range(_WAIT_S):
        for record in consumer.poll(timeout_ms=1_000, max_records=1).get(place, ()):
            if record.offset == offset:
                return bytes(record.value) if record.value is not None else None
            raise StorageError(
                f"Record {offset} of {topic}/{partition} is no longer in Kafka, so its bytes cannot be kept. "
                "Keep records longer (KAKOU_RETENTION_HOURS) than the stream may be away."
            )
    raise StorageError(f"Kafka did not give record {offset} of {topic}/{partition}. See `kakou logs kafka`.")
