"""What the topic holds already: the outcome of a sending whose answer never came.

Between an acknowledgement and the saving of a position a process may be killed, and an answer may be lost on
its way. Each record says in its header which line it was, so that the topic itself tells what needs no second
sending. Lines of a partition lie in it in the order of the log, as the shipper sends nothing behind a line
that failed; so all records that the saved positions do not cover lie behind a place that is saved with them
(``TopicEnd``), and exactly these are read, however many there are.

Without such a place (positions lost, another topic, one made anew under the same name) each partition is read
backwards until a record turns up that the positions cover or whose file is gone, or to its beginning. This,
and only this, takes for granted that one shipper alone writes to the topic.

What retention has removed cannot be looked up. Then the number of lines that may be sent twice is at most the
number of records removed behind the saved place, which the log says; the stream keeps the first of an id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from etl.ship.positions import Positions, TopicEnd
from etl.ship.topic import SOURCE_HEADER
from kakou.connections import kafka_options
from kakou.settings import Settings

log = logging.getLogger(__name__)

_FIRST_STEP, _LONGEST_STEP = 2_000, 512_000
# A killed shipper's last bytes may still lie in the broker's socket; counted from the broker's first answer.
_SETTLE_SECONDS: Final = 0.3
_NO_PROGRESS_SECONDS: Final = 30.0

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LookBack:
    """What was found.

    Attributes:
        known: lines (file, start) that the topic holds although the positions do not say so.
        ends: where each partition ended.
    """

    known: set[Place]
    ends: dict[int, int]


def shipped_beyond(settings: Settings, positions: Positions, present: Collection[str]) -> LookBack:
    """Looks for lines of ``present`` files behind their positions.

    Notes in ``positions.end`` which topic that was, and forgets the offsets of another.

    Raises:
        kafka.errors.KafkaError: the broker does not answer, or the topic is missing.
    """
    with closing(_admin(settings)) as admin:
        _note_topic(positions, settings.topic, _topic_id(admin, settings.topic))
    time.sleep(_SETTLE_SECONDS)
    consumer = KafkaConsumer(
        **kafka_options(settings),
        enable_auto_commit=False,
        bootstrap_timeout_ms=5_000,
        request_timeout_ms=10_000,
    )
    with closing(consumer):
        numbers = consumer.partitions_for_topic(settings.topic) or set()
        partitions = [TopicPartition(settings.topic, number) for number in sorted(numbers)]
        begin, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        found: set[Place] = set()
        for partition in partitions:
            edges = begin[partition], end[partition]
            from_here = _from_here(positions.end, partition, *edges)
            if from_here is None:
                found |= _backwards(consumer, partition, *edges, positions.offsets, present)
            else:
                places = _places(consumer, partition, from_here, edges[1])
                found |= _beyond(places, positions.offsets, present)
        return LookBack(found, {one.partition: end[one] for one in partitions})


def _admin(settings: Settings) -> Any:
    return KafkaAdminClient(**kafka_options(settings), request_timeout_ms=10_000, bootstrap_timeout_ms=5_000)


def _topic_id(admin: Any, topic: str) -> str:
    answer = admin.describe_topics([topic])[0]
    if answer.get("error_code"):
        raise UnknownTopicOrPartitionError(f"topic {topic} is missing; `kakou up` makes it")
    return str(answer.get("topic_id") or "")


def _note_topic(positions: Positions, topic: str, topic_id: str) -> None:
    known = positions.end
    if known.topic == topic and known.id == topic_id:
        return
    if known.topic == topic and known.id and topic_id:
        log.warning(
            "the topic %s was made anew; lines that the old one acknowledged are not sent again", topic
        )
    positions.end = TopicEnd(topic, topic_id)


def _from_here(known: TopicEnd, partition: TopicPartition, begin: int, end: int) -> int | None:
    """First offset that the positions may not cover; None if nothing is known of it."""
    saved = known.offsets.get(partition.partition)
    if saved is None:
        return None
    if saved > end:
        log.error(
            "partition %d of %s ends %d records before the last acknowledged one: the broker lost them",
            partition.partition, partition.topic, saved - end,
        )  # fmt: skip
        known.offsets.pop(partition.partition)
        return None
    if saved < begin:
        log.warning(
            "retention removed %d records of partition %d that were not looked at yet; at most as many lines "
            "are sent a second time", begin - saved, partition.partition,
        )  # fmt: skip
    return max(saved, begin)


def _beyond(places: Collection[Place], positions: Mapping[str, int], present: Collection[str]) -> set[Place]:
    return {(file, at) for file, at in places if file in present and at >= positions.get(file, 0)}


def _backwards(
    consumer: KafkaConsumer, partition: TopicPartition, begin: int, end: int, positions: Mapping[str, int],
    present: Collection[str],
) -> set[Place]:  # fmt: skip
    found: set[Place] = set()
    step, last = _FIRST_STEP, end
    while last > begin:
        first = max(begin, last - step)
        places = _places(consumer, partition, first, last)
        beyond = _beyond(places, positions, present)
        found |= beyond
        if len(beyond) < len(places):
            break  # some record is covered, and then all before it are
        step, last = min(step * 4, _LONGEST_STEP), first
        log.info("looking back in partition %d: %d lines found so far", partition.partition, len(found))
    return found


def _places(consumer: KafkaConsumer, partition: TopicPartition, first: int, end: int) -> list[Place]:
    """Where the lines of these records lay; records of other producers are left out.

    Raises:
        KafkaTimeoutError: nothing came for long.
    """
    answer = []
    consumer.assign([partition])
    consumer.seek(partition, first)
    at, heard = first, time.monotonic()
    while at < end:
        for record in _polled(consumer):
            if record.offset < end and (place := _place(record)):
                answer.append(place)
        position = consumer.position(partition)
        if position > at:
            at, heard = position, time.monotonic()
        elif time.monotonic() - heard > _NO_PROGRESS_SECONDS:
            raise KafkaTimeoutError("the broker stopped answering while its topic was looked through")
    return answer


def _polled(consumer: KafkaConsumer) -> Iterator[Any]:
    for records in consumer.poll(timeout_ms=1000).values():
        yield from records


def _place(record: Any) -> Place | None:
    source = dict(record.headers or ()).get(SOURCE_HEADER)
    if not source:
        return None
    file, _, start = source.decode("ascii", "replace").rpartition(":")
    return (file, int(start)) if start.isdigit() else None
