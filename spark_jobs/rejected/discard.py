"""Refused records that a person gives up: settled as ``discarded``, their bytes removed from Kafka."""

from __future__ import annotations

from collections.abc import Collection

from kakou.errors import BadInputError
from kakou.settings import Settings
from spark_jobs.rejected.cut import keep_unsettled
from spark_jobs.rejected.fates import demand_reason, hold_fates
from spark_jobs.rejected.records import Place, steady_producer
from spark_jobs.rejected.replay import finish_earlier
from spark_jobs.topic_reading import said_plainly, topic_consumer


def parse_place(text: str) -> Place:
    """Partition and offset as ``kakou rejected list`` prints them.

    >>> parse_place("0/17")
    (0, 17)

    Raises:
        BadInputError: it is none.
    """
    partition, _, offset = text.partition("/")
    if not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
        raise BadInputError(f"{text!r} is no place. Write partition/offset, such as 0/17.")
    return int(partition), int(offset)


def discard(
    settings: Settings, reason: str | None = None, places: Collection[Place] = (), sure: bool = False
) -> int:
    """Gives up unsettled records of a reason, or at some places, or both.

    Args:
        settings: where everything is.
        reason: records refused for this.
        places: records whose originals lie there.
        sure: a person said so; without it nothing is changed.

    Returns:
        how many.

    Raises:
        BadInputError: neither reason nor place is named, no such reason exists, a place has no unsettled
            record, or nobody said that it is meant.
        StorageError: a store is away; run it again.
    """
    if reason is None and not places:
        raise BadInputError("Name what is to be given up: --reason or --place.")
    demand_reason(reason)
    with said_plainly(settings), hold_fates(settings) as fates, topic_consumer(settings) as consumer:
        finish_earlier(consumer, settings, fates, fates.unsettled(), dry_run=not sure)
        fated = fates.unsettled()
        strange = [place for place in places if place not in fated]
        if strange:
            raise BadInputError(f"No unsettled record lies at {strange[0][0]}/{strange[0][1]}.")
        chosen = [place for place, fate in fated.items() if place in places or fate.reason == reason]
        if chosen and not sure:
            raise BadInputError(
                f"{len(chosen)} records would be given up and their bytes removed for good. "
                "`kakou rejected list --json` saves them; then say --yes."
            )
        fates.discard(chosen)
        with steady_producer(settings) as producer:
            keep_unsettled(consumer, settings, fates, producer)
        return len(chosen)
