"""Query ``detection``: the pure detector, hosted by Spark. First buckets of plates, then verdicts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kakou import redis_keys
from kakou.detection.contradictions import Counts
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings
from spark_jobs import bucket, verdicts
from spark_jobs.parse import local_seconds_of, seconds_of, with_fields
from spark_jobs.sinks.alert_relay import AlertRelay
from spark_jobs.sinks.alerts import AlertTable
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.patience import patiently
from spark_jobs.unused_places import UnusedPlaces

_LOG = structlog.get_logger("kakou.stream")
QUERY: Final = "detection"


def passes(records: DataFrame, buckets: int) -> DataFrame:
    """Kafka records that are passes, as the detector takes them, each with the bucket of its plate."""
    good = with_fields(records).filter(F.col("reason").isNull())
    return good.select(
        F.expr(f"CAST(pmod(xxhash64(hphm), {int(buckets)}) AS INT)").alias("bucket"),
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


def detected(records: DataFrame, settings: Settings) -> DataFrame:
    """The query itself: rows ``kind`` (``alert`` or ``counts``), ``body`` and ``tracks`` (JSON)."""
    looked = (
        passes(records, settings.detection_buckets)
        .groupBy("bucket")
        .transformWithStateInPandas(
            bucket.Buckets(settings), bucket.OUTPUT, outputMode="Append", timeMode="None"
        )
    )
    # A verdict needs what lies in other buckets, and takes few passes: one key.
    return (
        looked.withColumn("all", F.lit(0))
        .groupBy("all")
        .transformWithStateInPandas(
            verdicts.Verdicts(settings), verdicts.OUTPUT, outputMode="Append", timeMode="None"
        )
    )


class Alerts:
    """The sink of the query; called once per micro-batch, and again with the same one after a crash.

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
        self._places = UnusedPlaces(settings)

    def __call__(self, rows: DataFrame, number: int) -> None:
        """Writes what one micro-batch found: the table, then the list, then the counts.

        Raises:
            StorageError: the node of the table stays away. Redis is told later if it is away now.
        """
        began = time.monotonic()
        found = rows.collect()
        if not found:
            return
        alerts = [row for row in found if row.kind == "alert"]
        bodies, tracks = [row.body for row in alerts], [row.tracks for row in alerts]
        counts = sum((Counts(**json.loads(row.body)) for row in found if row.kind == "counts"), Counts())
        held = patiently(self._settings, "Writing warnings", lambda: self._table.write(bodies, tracks))
        self._relay.push(held)
        totals = asdict(counts) | {"alerts": len(held)}
        at = {"at": now_stamp(utc_now(), self._settings.timezone)}
        self._counter.count(self._query(), number, totals, at)
        seconds = round(time.monotonic() - began, 3)
        _LOG.info("batch", query=QUERY, batch=number, seconds=seconds, **totals)

    def tend(self) -> None:
        """Called a few times a second: fills a list that Redis lost, or that could not be told.

        It also says which gates are not where the registry puts them.
        """
        self._relay.tend()
        self._places.tend()

    def close(self) -> None:
        """Lets go of connections."""
        self._relay.close()
        self._counter.close()
