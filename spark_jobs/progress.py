"""How far each query is, from the events that Spark gives after each batch.

Spark commits no offsets to Kafka, so the lag is what the topic holds less what the query has taken.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import redis
import structlog
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

from kakou import redis_keys
from kakou.connections import redis_client
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings

_LOG = structlog.get_logger("kakou.stream")
# Batches over which speeds are taken: long enough for a steady figure, short enough to follow a change.
REMEMBERED: Final = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One batch that ended.

    Attributes:
        at: seconds on any clock.
        seconds: what it took; 0 where there was nothing to do.
        taken, held: offsets after the last record by partition, of the query and of the topic.
    """

    at: float
    seconds: float
    taken: Mapping[str, int]
    held: Mapping[str, int]


@dataclass(slots=True)
class Pace:
    """Lag and speed of one query. Pure: it is told of steps and knows no clock."""

    steps: deque[Step] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def add(self, step: Step) -> None:
        """Takes the newest step."""
        self.steps.append(step)

    @property
    def lag(self) -> dict[str, int]:
        """Records by partition that the topic held and the query had not taken after its last batch."""
        last = self.steps[-1]
        return {one: max(0, held - last.taken.get(one, 0)) for one, held in last.held.items()}

    @property
    def handled_per_second(self) -> float:
        """Records taken per second of work, over the steps that are remembered but the first."""
        first, *rest = self.steps
        seconds = sum(step.seconds for step in rest)
        return (_sum(self.steps[-1].taken) - _sum(first.taken)) / seconds if seconds else 0.0

    @property
    def arriving_per_second(self) -> float:
        """Records that came into the topic per second."""
        first, last = self.steps[0], self.steps[-1]
        seconds = last.at - first.at
        return (_sum(last.held) - _sum(first.held)) / seconds if seconds > 0 else 0.0

    @property
    def catch_up_seconds(self) -> float | None:
        """Seconds until nothing waits, if all goes on as now; None while the backlog does not shrink."""
        lag = sum(self.lag.values())
        if not lag:
            return 0.0
        spare = self.handled_per_second - self.arriving_per_second
        return lag / spare if spare > 0 else None


class ProgressListener(StreamingQueryListener):  # type: ignore[misc]
    """Writes ``kakou:stream:query:<name>`` after each batch.

    Called by Spark in a thread of its own. Redis being away costs the figures of a batch and nothing else.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis: redis.Redis = redis_client(settings)
        self._paces: dict[str, Pace] = {}
        self._names: dict[str, str] = {}
        self._turn = threading.Lock()

    def onQueryStarted(self, event: QueryStartedEvent) -> None:
        """Nothing is known yet but its name."""
        self._names[str(event.id)] = event.name

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        """A batch has ended."""
        progress = event.progress
        source = progress.sources[0]
        taken, held = _offsets(source.endOffset), _offsets(source.latestOffset)
        if not taken:
            return
        records = progress.numInputRows
        seconds = progress.durationMs.get("triggerExecution", 0) / 1000 if records else 0.0
        batch = {"batch": progress.batchId, "records": records, "seconds": f"{seconds:.3f}"}
        with self._turn:
            pace = self._paces.setdefault(progress.name, Pace())
            pace.add(Step(utc_now().timestamp(), seconds, taken, held or taken))
            # Where nothing came there was no batch, and the one before stays the last.
            self._write(progress.name, batch if records else {}, pace)

    def onQueryIdle(self, event: QueryIdleEvent) -> None:
        """Ten seconds have passed without a batch: what was written stays true, and the query runs."""
        name = self._names.get(str(event.id))
        with self._turn:
            if name in self._paces:
                self._write(name, {}, self._paces[name])

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:
        """The process says why."""

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _write(self, name: str, batch: Mapping[Any, Any], pace: Pace) -> None:
        catch_up = pace.catch_up_seconds
        fields: dict[Any, Any] = {
            **batch,
            "offsets": json.dumps(pace.steps[-1].taken),
            "lag": sum(pace.lag.values()),
            "lag_by_partition": json.dumps(pace.lag),
            "handled_per_second": f"{pace.handled_per_second:.1f}",
            "arriving_per_second": f"{pace.arriving_per_second:.1f}",
            "catch_up_seconds": "" if catch_up is None else f"{catch_up:.1f}",
            "at": now_stamp(utc_now(), self._settings.timezone),
        }
        try:
            self._redis.hset(redis_keys.STREAM_QUERY_PREFIX + name, mapping=fields)
        except redis.RedisError as error:
            _LOG.warning("progress_not_written", query=name, why=type(error).__name__)


def _offsets(text: str | None) -> dict[str, int]:
    """Offsets by partition from what a source says of itself; empty where it says nothing."""
    try:
        found = json.loads(text) if text else None
    except ValueError:
        found = None  # in the first batch after a restart Spark says no JSON here
    if not isinstance(found, dict) or not found:
        return {}
    (offsets,) = found.values()
    return {str(partition): int(at) for partition, at in offsets.items()}


def _sum(offsets: Mapping[str, int]) -> int:
    return sum(offsets.values())
