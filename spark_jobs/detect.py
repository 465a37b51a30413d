"""Query ``detection``: Spark reads and parses, the pure detector looks at each batch on the driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kakou import redis_keys
from kakou.detection.casebook import Told
from kakou.detection.contradictions import Counts
from kakou.detection.evidence.tracks import has_kept_tracks
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings
from spark_jobs.detector import Detector
from spark_jobs.parse import local_seconds_of, seconds_of, with_fields
from spark_jobs.sinks.alert_relay import AlertRelay
from spark_jobs.sinks.alerts import AlertTable
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.patience import patiently

_LOG = structlog.get_logger("kakou.stream")
QUERY: Final = "detection"


def passes(records: DataFrame) -> DataFrame:
    """Kafka records that are passes, as the detector takes them."""
    good = with_fields(records).filter(F.col("reason").isNull())
    return good.select(
        "gcxh",
        "kkmc",
        "hpzl",
        "hphm",
        "clppxh",
        seconds_of(F.col("gcsj")).alias("t"),
        local_seconds_of(F.col("timestamp")).alias("arrival"),
        F.unix_millis(F.col("timestamp")).alias("moment"),
        "partition",
        "offset",
    )


class Detection:
    """What the query does with each micro-batch; called again with the same one after a crash.

    Args:
        settings: what detection goes by, stores and retry cap.
        query: names this query in the counts.
        casebook: where versions of the casebook are kept.
    """

    def __init__(self, settings: Settings, query: Callable[[], str], casebook: Path) -> None:
        self._detector = Detector(settings, casebook)
        self._alerts = Alerts(settings, query)

    def __call__(self, rows: DataFrame, number: int) -> None:
        """Judges the passes of one micro-batch, and writes what is told of them.

        Args:
            rows: of ``passes``.

        Raises:
            DiskFullError: no room is left for the casebook.
            StorageError: as ``Alerts.write``.
        """
        began = time.monotonic()
        arrived = rows.toArrow()
        if len(arrived):
            told, counts = self._detector.take(number, arrived)
            totals = self._alerts.write(number, told, counts)
            _LOG.info(
                "batch", query=QUERY, batch=number, seconds=round(time.monotonic() - began, 3), **totals
            )

    def tend(self) -> None:
        """Called a few times a second: fills a list that Redis lost, or that could not be told."""
        self._alerts.tend()

    def close(self) -> None:
        """Lets go of connections."""
        self._alerts.close()


class Alerts:
    """The sink: the table, then the list, then the counts.

    Args:
        settings: stores and retry cap.
        query: names this query in the counts.
    """

    def __init__(self, settings: Settings, query: Callable[[], str]) -> None:
        self._settings = settings
        self._query = query
        self._table = AlertTable(settings)
        self._relay = AlertRelay(settings, self._table)
        self._counter = Counter(settings, redis_keys.DETECTION_COUNTS)

    def write(self, number: int, told: Sequence[Told], counts: Counts) -> dict[str, int]:
        """Writes what one micro-batch gave; what was written before stays as it is.

        Returns:
            what was counted.

        Raises:
            StorageError: the node of the table stays away. Redis is told later if it is away now.
        """
        bodies = [alert.to_json() for alert, _ in told]
        tracks = [tracks.to_json() if has_kept_tracks(alert) else None for alert, tracks in told]
        held = patiently(self._settings, "Writing warnings", lambda: self._table.write(bodies, tracks))
        self._relay.push(held)
        totals = asdict(counts) | {"alerts": len(held)}
        at = {"at": now_stamp(utc_now(), self._settings.timezone)}
        self._counter.count(self._query(), number, totals, at)
        return totals

    def tend(self) -> None:
        """Called a few times a second: tells Redis what it could not be told."""
        self._relay.tend()

    def close(self) -> None:
        """Lets go of connections."""
        self._relay.close()
        self._counter.close()
