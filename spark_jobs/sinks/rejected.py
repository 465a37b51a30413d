"""The topic of records that were not understood: their bytes as they came, and why."""

from __future__ import annotations

from typing import Any

import polars as pl
from kafka import KafkaProducer

from kakou.connections import kafka_options
from kakou.settings import Settings

_LARGEST = 4 * 1024 * 1024
_WAIT_S = 60


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
        """Sends rows with ``value`` (bytes or null), ``reason``, ``partition`` and ``offset``.

        Raises:
            kafka.errors.KafkaError: the broker is away; none or some of them were sent.
        """
        if rejected.is_empty():
            return
        topic = self._settings.topic.encode()
        try:
            sent = [
                self._open().send(
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
                for value, reason, partition, offset in rejected.select(
                    "value", "reason", "partition", "offset"
                ).iter_rows()
            ]
            self._producer.flush(_WAIT_S)
            for one in sent:
                one.get(_WAIT_S)
        except Exception:
            self.close()  # an idempotent producer is of no use after an error
            raise

    def close(self) -> None:
        """Closes the producer; the next ``send`` opens another."""
        if self._producer is not None:
            self._producer.close(timeout=5)
            self._producer = None

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
