"""Refused records come back: what is understood now goes to the topic of passes again, once.

Before the first byte is sent, the intention is written into the table (``replaying``); each record carries
the header ``replayed``, which names its original place. A process that died in between leaves the intention,
and the next one looks for that header in what the topic took since then before it sends anything. A record
that came twice all the same would be a duplicate to the stream, as its id is known there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import TopicPartition
from kafka.errors import KafkaError

from kakou.errors import BadInputError, Reject, StorageError
from kakou.passage import REJECT_REASONS, parse_passage
from kakou.settings import Settings
from spark_jobs.rejected.cut import keep_unsettled
from spark_jobs.rejected.fates import Fates, OpenFate, demand_reason, hold_fates
from spark_jobs.rejected.records import Place, RejectedRecord, delivered, each_rejected, steady_producer
from spark_jobs.topic_reading import Tell, quietly, read_span, said_plainly, spans_of, topic_consumer

REPLAYED: Final = "replayed"
_CHUNK: Final = 500
# The producer's clock may differ from the node's, and the last bytes of a killed process may still lie in the
# broker's socket.
_LOOK_BACK_S: Final = 600
_SETTLE_S: Final = 1.0


@dataclass
class Replay:
    """What a replay did, or would do.

    Attributes:
        replayed: records produced to the topic of passes.
        found: records that an earlier replay had produced before it died.
        stays: place and reason of each that is still not understood.
        without_bytes: unsettled records whose bytes Kafka has dropped.
    """

    replayed: int = 0
    found: int = 0
    stays: list[tuple[Place, str]] = field(default_factory=list)
    without_bytes: int = 0


def judge(reason: str, original: bytes | None, mended: bytes | None) -> tuple[bytes, str] | str:
    """Whether a refused record may go to the topic of passes now.

    Args:
        reason: why it was refused.
        original: its bytes.
        mended: its bytes as a person has mended them; the original ones if nobody did.

    Returns:
        bytes and plate, or why it stays. One that was understood and contradicted a stored record stays
        until it is mended: nothing about it has changed.
    """
    if reason not in REJECT_REASONS and mended == original:
        return reason
    parsed = parse_passage(mended or b"")
    return parsed.reason if isinstance(parsed, Reject) else (mended or b"", parsed.hphm)


def replay(
    settings: Settings,
    reason: str | None = None,
    mended: Mapping[Place, bytes | None] | None = None,
    dry_run: bool = False,
    tell: Tell = quietly,
) -> Replay:
    """Judges every unsettled record anew and produces what is understood; then the rejected topic holds only
    what is still unsettled.

    Args:
        settings: where everything is.
        reason: only records refused for this.
        mended: bytes that stand for those of the record at this place.
        dry_run: only say what would happen.
        tell: is told how far the reading has come.

    Raises:
        BadInputError: nothing is ever refused for that reason, or a mended record is none that was refused.
        StorageError: a store is away; run it again, nothing is produced twice.
    """
    demand_reason(reason)
    with said_plainly(settings), hold_fates(settings) as fates, topic_consumer(settings) as consumer:
        mended = mended or {}
        _demand_refused(fates, mended)
        result = Replay()
        open_fates = fates.unsettled()
        there = finish_earlier(consumer, settings, fates, open_fates, dry_run)
        result.found = len(there)
        wanted = {
            place: fate
            for place, fate in open_fates.items()
            if place not in there and reason in (None, fate.reason)
        }
        with steady_producer(settings) as producer:
            sender = _Sender(settings, producer, fates, dry_run)
            spans = spans_of(consumer, settings.rejected_topic)
            for record in each_rejected(consumer, settings, spans, tell):
                _take(record, wanted, mended, sender, result)
            for place in [one for one in wanted if one in mended]:
                # Kafka has dropped its bytes, but somebody kept them.
                _judge(place, wanted.pop(place).reason, None, mended[place], sender, result)
            result.replayed = sender.finish()
            result.without_bytes = len(wanted)
            if not dry_run:
                keep_unsettled(consumer, settings, fates, producer)
        return result


def finish_earlier(
    consumer: Any,
    settings: Settings,
    fates: Fates,
    open_fates: Mapping[Place, OpenFate],
    dry_run: bool = False,
) -> set[Place]:
    """Settles what an earlier replay had produced before it died, and takes back what it had not.

    Returns:
        places of those that are in the topic of passes.
    """
    begun = {place: fate.replaying_since for place, fate in open_fates.items() if fate.replaying_since}
    if not begun:
        return set()
    time.sleep(_SETTLE_S)
    lies_at = _replayed_since(consumer, settings, min(since for since in begun.values() if since))
    there = {place: lies_at[place] for place in begun if place in lies_at}
    if not dry_run:
        fates.settle(there)
        fates.release(place for place in begun if place not in there)
    return set(there)


def _demand_refused(fates: Fates, mended: Mapping[Place, bytes | None]) -> None:
    strange = sorted(mended.keys() - fates.known_among(mended))
    if strange:
        listed = ", ".join(f"{partition}/{offset}" for partition, offset in strange[:5])
        raise BadInputError(
            f"{len(strange)} mended records were never refused: {listed}. Use lines of `kakou rejected list`."
        )


def _take(
    record: RejectedRecord,
    wanted: dict[Place, OpenFate],
    mended: Mapping[Place, bytes | None],
    sender: _Sender,
    result: Replay,
) -> None:
    """Judges one record; a second copy of it is passed over, as its place is no longer wanted."""
    fate = wanted.pop(record.place, None) if record.place else None
    if fate is None or record.place is None:
        return
    mended_value = mended.get(record.place, record.value)
    _judge(record.place, fate.reason, record.value, mended_value, sender, result)


def _judge(
    place: Place, reason: str, original: bytes | None, mended: bytes | None, sender: _Sender, result: Replay
) -> None:
    verdict = judge(reason, original, mended)
    if isinstance(verdict, str):
        result.stays.append((place, verdict))
    else:
        sender.send(place, *verdict)


class _Sender:
    """Produces some hundred records at a time: intention, bytes, new places."""

    def __init__(self, settings: Settings, producer: Any, fates: Fates, dry_run: bool) -> None:
        self._settings = settings
        self._producer = producer
        self._fates = fates
        self._dry_run = dry_run
        self._waiting: dict[Place, tuple[bytes, str]] = {}
        self._sent = 0

    def send(self, place: Place, value: bytes, plate: str) -> None:
        self._waiting[place] = value, plate
        if len(self._waiting) >= _CHUNK:
            self.finish()

    def finish(self) -> int:
        """Sends what waits; returns how many were sent in all.

        Raises:
            StorageError: Kafka did not acknowledge some; the next replay finds out about those.
        """
        if not self._dry_run and self._waiting:
            self._fates.intend(self._waiting)
            answers = delivered(self._producer, [self._produce(*one) for one in self._waiting.items()])
            acknowledged = {
                place: (answer.partition, answer.offset)
                for place, answer in zip(self._waiting, answers, strict=True)
                if not isinstance(answer, KafkaError)
            }
            self._fates.settle(acknowledged)
            _demand_all(answers)
        self._sent += len(self._waiting)
        self._waiting.clear()
        return self._sent

    def _produce(self, place: Place, what: tuple[bytes, str]) -> Any:
        value, plate = what
        origin = f"{self._settings.topic}/{place[0]}/{place[1]}".encode()
        return self._producer.send(
            self._settings.topic, key=plate.encode(), value=value, headers=[(REPLAYED, origin)]
        )


def _demand_all(answers: Iterable[Any]) -> None:
    errors = [answer for answer in answers if isinstance(answer, KafkaError)]
    if errors:
        raise StorageError(
            f"Kafka did not acknowledge {len(errors)} records ({type(errors[0]).__name__}). Run the replay "
            "again: it finds out which of them arrived."
        ) from errors[0]


def _replayed_since(consumer: Any, settings: Settings, since: float) -> dict[Place, Place]:
    """Where the topic of passes holds records that came back since then, by the place of their original."""
    spans = spans_of(consumer, settings.topic)
    moment = int((since - _LOOK_BACK_S) * 1000)
    first = consumer.offsets_for_times({TopicPartition(settings.topic, one): moment for one in spans})
    later = {
        place.partition: (answer.offset, spans[place.partition][1])
        for place, answer in first.items()
        if answer is not None
    }
    found: dict[Place, Place] = {}
    for records in read_span(consumer, settings.topic, later):
        for record in records:
            origin = dict(record.headers).get(REPLAYED, b"").decode("utf-8", "replace")
            topic, _, place = origin.partition("/")
            if topic == settings.topic:
                partition, _, offset = place.partition("/")
                found.setdefault((int(partition), int(offset)), (record.partition, record.offset))
    return found
