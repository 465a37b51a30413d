"""Query ``detection``: the pure detector, hosted by Spark, one Arrow blob of state per bucket of plates."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.streaming.state import GroupState, GroupStateTimeout

from kakou import redis_keys
from kakou.detection.contradictions import Counts, find_contradictions
from kakou.detection.files import load_rules, no_rules
from kakou.detection.rules import Rules
from kakou.detection.state import BATCH_SCHEMA, STATE_FORMAT, empty_state, from_bytes, to_bytes
from kakou.detection.times import now_stamp, utc_now
from kakou.detection.verdicts import judge
from kakou.errors import BadInputError
from kakou.settings import Settings
from spark_jobs.parse import local_seconds_of, seconds_of, with_fields
from spark_jobs.sinks.alerts import AlertList, AlertTable
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.patience import patiently

_LOG = structlog.get_logger("kakou.stream")
QUERY: Final = "detection"
_ORDER: Final = ["arrival", "partition", "offset"]
_OUTPUT: Final = "kind string, body string"
_STATE: Final = "format int, passes binary"


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
        "partition",
        "offset",
    )


def detected(records: DataFrame, settings: Settings) -> DataFrame:
    """The query itself: rows ``kind`` (``alert`` or ``counts``) and ``body`` (JSON)."""
    return (
        passes(records, settings.detection_buckets)
        .groupBy("bucket")
        .applyInPandasWithState(
            Bucket(settings),
            outputStructType=_OUTPUT,
            stateStructType=_STATE,
            outputMode="append",
            timeoutConf=GroupStateTimeout.NoTimeout,
        )
    )


class Bucket:
    """What runs in a Python worker for each bucket of each batch; pickled once per query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(
        self, key: tuple[Any, ...], frames: Iterator[pd.DataFrame], state: GroupState
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with all passes of one bucket in one batch, in any order."""
        arrived = pd.concat(list(frames), ignore_index=True).sort_values(_ORDER, kind="stable")
        rules = current_rules(self._settings)
        before = from_bytes(bytes(state.get[1])) if state.exists else empty_state()
        after, found, counts = find_contradictions(before, _as_batch(arrived), rules)
        state.update((STATE_FORMAT, to_bytes(after)))
        now = now_stamp(utc_now(), self._settings.timezone)
        bodies = [one.to_json() for one in judge(found, rules, now)]
        kinds = ["counts"] + ["alert"] * len(bodies)
        yield pd.DataFrame({"kind": kinds, "body": [json.dumps(asdict(counts)), *bodies]})


def _as_batch(arrived: pd.DataFrame) -> pa.Table:
    return pa.table(
        {name: pa.array(arrived[name], BATCH_SCHEMA.field(name).type) for name in BATCH_SCHEMA.names}
    )


_known: tuple[tuple[int, ...], Rules] | None = None


def current_rules(settings: Settings) -> Rules:
    """The rules of this worker, read again when a file has changed.

    A file that cannot be read does not stop the stream: the rules before it stay, or none while there are
    none.
    """
    global _known
    files = (settings.clean_dir / "kkmc_dimension.csv", settings.travel_times_file)
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    if _known is None or _known[0] != changed:
        try:
            rules = load_rules(settings)
        except BadInputError as error:
            print(f"kakou: {error} Detection goes on with what it knew.", file=sys.stderr)
            rules = _known[1] if _known else no_rules(settings)
        _known = (changed, rules)
    return _known[1]


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
        self._list = AlertList(settings)
        self._counter = Counter(settings, redis_keys.DETECTION_COUNTS)

    def __call__(self, rows: DataFrame, number: int) -> None:
        """Writes what one micro-batch found: the table, then the list, then the counts."""
        began = time.monotonic()
        found = rows.collect()
        if not found:
            return
        bodies = [row.body for row in found if row.kind == "alert"]
        counts = sum((Counts(**json.loads(row.body)) for row in found if row.kind == "counts"), Counts())
        held = patiently(self._settings, "Writing warnings", lambda: self._table.write(bodies))
        patiently(self._settings, "Pushing warnings to Redis", lambda: self._list.push(held))
        totals = asdict(counts) | {"alerts": len(held)}
        at = {"at": now_stamp(utc_now(), self._settings.timezone)}
        patiently(
            self._settings,
            "Counting in Redis",
            lambda: self._counter.add(self._query(), number, totals, at),
        )
        seconds = round(time.monotonic() - began, 3)
        _LOG.info("batch", query=QUERY, batch=number, seconds=seconds, **totals)

    def refill(self) -> int:
        """Fills an empty Redis list from the table; returns how many were pushed."""
        return patiently(
            self._settings, "Filling the list of warnings", lambda: self._list.refill(self._table)
        )

    def close(self) -> None:
        """Lets go of connections."""
        self._list.close()
        self._counter.close()
