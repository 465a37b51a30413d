"""Edge: unsettled refused records with their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kakou.settings import Settings
from spark_jobs.rejected.fates import OpenFate, demand_reason, read_fates
from spark_jobs.rejected.records import Place, each_rejected
from spark_jobs.topic_reading import said_plainly, spans_of, topic_consumer


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A refused record that nobody has settled, and its bytes (None: it had no value)."""

    place: Place
    reason: str
    rejected_at: datetime
    value: bytes | None


class Listing:
    """Unsettled records one by one, so that any number of them can be printed.

    Args:
        settings: where everything is.
        reason: only records refused for this.

    Raises:
        BadInputError: nothing is ever refused for that.
    """

    def __init__(self, settings: Settings, reason: str | None = None) -> None:
        demand_reason(reason)
        self._settings = settings
        with said_plainly(settings), read_fates(settings) as fates:
            self._left: dict[Place, OpenFate] = {
                place: fate for place, fate in fates.unsettled().items() if reason in (None, fate.reason)
            }
        self.total = len(self._left)

    def __iter__(self) -> Iterator[Unsettled]:
        """In the order of the rejected topic, each once.

        Raises:
            StorageError: Kafka is away.
        """
        settings = self._settings
        with said_plainly(settings), topic_consumer(settings) as consumer:
            spans = spans_of(consumer, settings.rejected_topic)
            for record in each_rejected(consumer, settings, spans):
                fate = self._left.pop(record.place, None) if record.place else None
                if fate is not None and record.place is not None:
                    yield Unsettled(record.place, fate.reason, fate.rejected_at, record.value)

    @property
    def without_bytes(self) -> int:
        """After the last record: how many are known by their place only, as Kafka has dropped them."""
        return len(self._left)
