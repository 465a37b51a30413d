"""Edge: reads what Kafka holds of a topic, from a first offset to a last one, and then stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pymysql
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from kakou.connections import kafka_options
from kakou.errors import StorageError
from kakou.settings import Settings

Spans = Mapping[int, tuple[int, int]]
Tell = Callable[[str, int, int], None]
_MOST_RECORDS: Final = 5_000
_STALLED_S: Final = 60


def quietly(_what: str, _done: int, _total: int) -> None:
    """Tells nobody how far a reading has come."""


@contextmanager
def said_plainly(settings: Settings) -> Iterator[None]:
    """Turns what Kafka's and the nodes' clients raise into one sentence.

    Raises:
        StorageError: a store is away or refuses.
    """
    try:
        yield
    except KafkaError as error:
        raise StorageError(
            f"Kafka at {settings.kafka_bootstrap} does not answer, or refuses: {error}. "
            "See `kakou status` and `kakou logs kafka`; `kakou up` starts what does not run."
        ) from error
    except pymysql.MySQLError as error:
        raise StorageError(
            f"A node does not answer, or refuses: {error.args[-1]}. See `kakou status`; `kakou up` starts "
            "what does not run."
        ) from error


@contextmanager
def topic_consumer(settings: Settings) -> Iterator[Any]:
    """A consumer of no group, which commits nothing.

    Raises:
        kafka.errors.KafkaError: the broker does not answer.
    """
    consumer = KafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        # Where Kafka drops a beginning while we read, we go on with what it still holds.
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=10_000,
        max_poll_records=_MOST_RECORDS,
        # TCP has checked the bytes, and checking them again in Python takes a fifth of the time.
        check_crcs=False,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def spans_of(consumer: Any, topic: str) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last of each partition that the topic really has.

    Raises:
        StorageError: there is no such topic.
    """
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise StorageError(f"Kafka has no topic {topic}. `kakou up` makes it.")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    start, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    return {one.partition: (start[one], end[one]) for one in partitions}


def read_span(
    consumer: Any, topic: str, spans: Spans, tell: Tell = quietly, what: str = "topic"
) -> Iterator[list[Any]]:
    """Lists of records within the spans; those of one partition in order.

    Raises:
        StorageError: nothing came for a minute although something is there.
    """
    open_ones = {TopicPartition(topic, number): end for number, (start, end) in spans.items() if start < end}
    total, done, moved = sum(end - start for start, end in spans.values()), 0, time.monotonic()
    consumer.assign(list(open_ones))
    consumer.resume(*open_ones)  # an earlier reading may have paused them
    for partition in open_ones:
        consumer.seek(partition, spans[partition.partition][0])
    while open_ones:
        answer = consumer.poll(timeout_ms=1_000)
        for partition, records in answer.items():
            inside = [record for record in records if record.offset < open_ones.get(partition, 0)]
            done += len(inside)
            yield inside
        if answer:
            moved = time.monotonic()
        # Behind a transaction the position moves on although no record came.
        for partition in [one for one, end in open_ones.items() if consumer.position(one) >= end]:
            consumer.pause(partition)
            del open_ones[partition]
        tell(what, done, total)
        if time.monotonic() - moved > _STALLED_S:
            raise StorageError(
                f"Kafka gave nothing of {topic} for {_STALLED_S} s. See `kakou logs kafka`, then try again."
            )
