"""Edge: the rejected topic, where the bytes of refused records lie until somebody settles them.

A record names its original in the headers ``topic``, ``partition`` and ``offset``; one that was sent twice
counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from kakou.connections import kafka_options
from kakou.settings import Settings
from spark_jobs.ledger.evidence import PLACE_SCHEMA
from spark_jobs.topic_reading import Spans, Tell, quietly, read_span, said_plainly, spans_of, topic_consumer

Place = tuple[int, int]
_LARGEST: Final = 4 * 1024 * 1024
_WAIT_S: Final = 60


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """One record of the rejected topic.

    Attributes:
        place: partition and offset of the original; None if it is not from our topic.
        reason: why it was refused.
        value: its bytes as they came, None for a record without a value.
        at: partition and offset in the rejected topic.
        key, headers: as they lie there.
    """

    place: Place | None
    reason: str
    value: bytes | None
    at: Place
    key: bytes | None
    headers: list[tuple[str, bytes]]


def each_rejected(
    consumer: Any, settings: Settings, spans: Spans, tell: Tell = quietly
) -> Iterator[RejectedRecord]:
    """Every record of the rejected topic within ``spans``, those of one partition in order."""
    for records in read_span(consumer, settings.rejected_topic, spans, tell, "rejected"):
        for record in records:
            yield _rejected(record, settings.topic)


def rejected_places(settings: Settings, tell: Tell = quietly) -> pl.DataFrame:
    """Places of which the rejected topic holds the bytes, ``PLACE_SCHEMA``; read again if it was cut
    meanwhile, as what was to stay then lies further on.

    Raises:
        StorageError: Kafka is away, or there is no such topic.
    """
    with said_plainly(settings), topic_consumer(settings) as consumer:
        after = spans_of(consumer, settings.rejected_topic)
        while True:
            spans = after
            places = {one.place for one in each_rejected(consumer, settings, spans, tell) if one.place}
            after = spans_of(consumer, settings.rejected_topic)
            if all(after[number][0] == start for number, (start, _) in spans.items()):
                return pl.DataFrame(sorted(places), schema=PLACE_SCHEMA, orient="row")


def rejected_records(settings: Settings) -> list[tuple[Place, str, bytes | None]]:
    """Every record of the rejected topic that is from our topic: its place there, the reason, its bytes.

    All in memory: for tests.
    """
    with said_plainly(settings), topic_consumer(settings) as consumer:
        spans = spans_of(consumer, settings.rejected_topic)
        every = each_rejected(consumer, settings, spans)
        return [(one.place, one.reason, one.value) for one in every if one.place]


@contextmanager
def steady_producer(settings: Settings) -> Iterator[Any]:
    """An idempotent producer; whoever uses it waits for the answers itself.

    Raises:
        kafka.errors.KafkaError: the broker does not answer.
    """
    producer = KafkaProducer(
        **kafka_options(settings),
        acks="all",
        enable_idempotence=True,
        max_request_size=_LARGEST,
        max_block_ms=_WAIT_S * 1000,
        bootstrap_timeout_ms=10_000,
    )
    try:
        yield producer
    finally:
        producer.close(timeout=5)


def delivered(producer: Any, futures: list[Any]) -> list[Any]:
    """Waits for the answers: where each record lies (partition, offset), or the ``KafkaError``; in order."""
    producer.flush(_WAIT_S)
    answers = []
    for future in futures:
        try:
            answers.append(future.get(_WAIT_S))
        except KafkaError as error:
            answers.append(error)
    return answers


def cut_off(settings: Settings, before: dict[int, int]) -> None:
    """Removes what lies before these offsets of the rejected topic.

    Args:
        before: partition to the first offset that stays.
    """
    client = KafkaAdminClient(**kafka_options(settings))
    try:
        client.delete_records(
            {TopicPartition(settings.rejected_topic, number): offset for number, offset in before.items()},
            timeout_ms=_WAIT_S * 1000,
        )
    finally:
        client.close()


def _rejected(record: Any, topic: str) -> RejectedRecord:
    headers = dict(record.headers)
    place = None
    if headers.get("topic") == topic.encode() and {"partition", "offset"} <= headers.keys():
        place = int(headers["partition"]), int(headers["offset"])
    reason = headers.get("reason", b"").decode("utf-8", "replace")
    at = record.partition, record.offset
    return RejectedRecord(place, reason, record.value, at, record.key, list(record.headers))
