"""Edge: the rejected topic is cut down to what nobody has settled yet."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from kafka.errors import KafkaError

from kakou.errors import StorageError
from kakou.settings import Settings
from spark_jobs.rejected.fates import Fates
from spark_jobs.rejected.records import (
    Place,
    RejectedRecord,
    cut_off,
    delivered,
    each_rejected,
)
from spark_jobs.topic_reading import Spans, spans_of

_CHUNK: Final = 1_000
_BYTES: Final = 8 * 1024 * 1024


def keep_unsettled(consumer: Any, settings: Settings, fates: Fates, producer: Any) -> None:
    """Removes settled records from the beginning of the rejected topic up to the last one.

    Those in between that are not settled, or whose batch is not committed yet, are appended again first, with
    the same headers: a reader counts a record by them, so it does not matter where this stops half way.

    Raises:
        StorageError: Kafka did not take a record again; nothing was removed.
    """
    spans = spans_of(consumer, settings.rejected_topic)
    cut, behind = _where_to_cut(consumer, settings, fates, spans)
    if not cut:
        return
    before = {number: (spans[number][0], offset) for number, offset in cut.items()}
    moving: list[RejectedRecord] = []
    weight = 0
    for record in each_rejected(consumer, settings, before):
        if record.at in behind:
            moving.append(record)
            weight += len(record.value or b"")
        if len(moving) >= _CHUNK or weight > _BYTES:
            _append(producer, settings, moving)
            weight = 0
    _append(producer, settings, moving)
    cut_off(settings, cut)


def _where_to_cut(
    consumer: Any, settings: Settings, fates: Fates, spans: Spans
) -> tuple[dict[int, int], set[Place]]:
    """The offset behind the last settled record of each partition, and where the others before it lie.

    Of several copies of one record the last is kept.
    """
    cut: dict[int, int] = {}
    open_ones: list[tuple[Place | None, Place]] = []
    records = ((one.place, one.at) for one in each_rejected(consumer, settings, spans))
    while some := list(islice(records, _CHUNK)):
        settled = fates.settled_among(place for place, _ in some if place)
        for place, (partition, offset) in some:
            if place in settled:
                cut[partition] = offset + 1
            else:
                open_ones.append((place, (partition, offset)))
    last = {place: at for place, at in open_ones if place}
    keep = {at for place, at in open_ones if place is None or last[place] == at}
    return cut, {at for at in keep if at[1] < cut.get(at[0], 0)}


def _append(producer: Any, settings: Settings, moving: list[RejectedRecord]) -> None:
    futures = [
        producer.send(settings.rejected_topic, key=one.key, value=one.value, headers=one.headers)
        for one in moving
    ]
    errors = [one for one in delivered(producer, futures) if isinstance(one, KafkaError)]
    if errors:
        raise StorageError(
            f"Kafka did not take {len(errors)} refused records again ({type(errors[0]).__name__}), so none "
            "was removed. See `kakou logs kafka`, then run this again."
        ) from errors[0]
    moving.clear()
