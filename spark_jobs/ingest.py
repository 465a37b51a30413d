"""Query ``ingest``: every record of the topic ends in exactly one place: stored, rejected, or written down
as repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import polars as pl
import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kakou import redis_keys
from kakou.detection.times import now_stamp, utc_now
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from spark_jobs.parse import with_fields
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.nodes import Batch, Nodes
from spark_jobs.sinks.patience import patiently
from spark_jobs.sinks.rejected import RejectedTopic
from spark_jobs.sinks.sorting import ID_CONFLICT, PLACE, Sorted, sort_out
from spark_jobs.sinks.through_endpoint import Endpoint
from sql.gates import ensure_gates

_LOG = structlog.get_logger("kakou.stream")
QUERY: Final = "ingest"
_GOOD: Final = (*PLACE, *COLUMNS_12)
_REJECTED: Final = (*PLACE, "value", "reason")


def parsed(records: DataFrame) -> DataFrame:
    """Kafka records as place, reason and fields; the bytes only of those that are rejected."""
    value = F.when(F.col("reason").isNotNull(), F.col("value")).alias("value")
    return with_fields(records.select("partition", "offset", "value")).select(
        "partition", "offset", "reason", value, *COLUMNS_12
    )


class Ingest:
    """The sink of the query; called once per micro-batch, and again with the same one after a crash.

    Args:
        settings: stores, route and retry cap.
        query: names this query in ``batch_ledger``; asked for with each batch, as only a started query has
            an id.
    """

    def __init__(self, settings: Settings, query: Callable[[], str]) -> None:
        self._settings = settings
        self._query = query
        self._store: Nodes | Endpoint = (
            Nodes(settings) if settings.ingest_route == "shards" else Endpoint(settings)
        )
        self._topic = RejectedTopic(settings)
        self._counter = Counter(settings, redis_keys.STREAM_PROGRESS)
        self._gates: set[str] = set()

    def __call__(self, records: DataFrame, number: int) -> None:
        """Takes one micro-batch; raises ``StorageError`` when a store stays away."""
        began = time.monotonic()
        rows = pl.DataFrame(pl.from_arrow(records.toArrow()))
        if rows.is_empty():
            return
        batch = _name(rows, self._query(), number)
        counts = patiently(self._settings, "Storing a batch", _Once(self, batch, rows))
        seconds = time.monotonic() - began
        patiently(
            self._settings,
            "Writing the progress to Redis",
            lambda: self._counter.add(batch.query, number, counts, self._facts(batch, seconds)),
        )
        _LOG.info("batch", query=QUERY, batch=number, seconds=round(seconds, 3), **counts)

    def close(self) -> None:
        """Lets go of threads and connections."""
        self._store.close()
        self._topic.close()
        self._counter.close()

    def take(self, batch: Batch, rows: pl.DataFrame, sent: set[tuple[int, int]]) -> dict[str, int]:
        """One try at a batch.

        Args:
            sent: places of rejected records that an earlier try has sent; grows.
        """
        good = rows.filter(pl.col("reason").is_null()).select(_GOOD)
        bad = rows.filter(pl.col("reason").is_not_null()).select(_REJECTED)
        if self._store.has(batch):
            # Only the progress was lost; what the batch held was counted at the nodes.
            return {"stored": 0, "duplicates": 0, "rejected": 0}
        parts = sort_out(good, self._store.stored_under(good["gcxh"].unique().to_list()))
        rejected = pl.concat([bad, _as_rejected(parts.conflicts)])
        self._send(rejected, sent)
        self._know_gates(parts.fresh)
        self._store.write(batch, parts, len(rejected))
        return _counts(parts, rejected)

    def _send(self, rejected: pl.DataFrame, sent: set[tuple[int, int]]) -> None:
        places = [place not in sent for place in rejected.select(PLACE).iter_rows()]
        new = rejected.filter(pl.Series(places, dtype=pl.Boolean))
        self._topic.send(new)
        sent.update(new.select(PLACE).rows())

    def _know_gates(self, fresh: pl.DataFrame) -> None:
        new = set(fresh["kkmc"].unique().to_list()) - self._gates
        if new:
            ensure_gates(self._settings, new)
            self._gates |= new

    def _facts(self, batch: Batch, seconds: float) -> dict[str, str]:
        return {
            "offsets": batch.offsets[1],
            "at": now_stamp(utc_now(), self._settings.timezone),
            "seconds": f"{seconds:.3f}",
        }


class _Once:
    """A batch with what its earlier tries have done."""

    def __init__(self, ingest: Ingest, batch: Batch, rows: pl.DataFrame) -> None:
        self._call = (ingest, batch, rows)
        self._sent: set[tuple[int, int]] = set()

    def __call__(self) -> dict[str, int]:
        ingest, batch, rows = self._call
        return ingest.take(batch, rows, self._sent)


def _name(rows: pl.DataFrame, query: str, number: int) -> Batch:
    spans = rows.group_by("partition").agg(
        pl.col("offset").min().alias("start"), (pl.col("offset").max() + 1).alias("end")
    )
    start: dict[int, int] = dict(spans.select("partition", "start").iter_rows())
    end: dict[int, int] = dict(spans.select("partition", "end").iter_rows())
    return Batch(query, number, start, end)


def _as_rejected(conflicts: pl.DataFrame) -> pl.DataFrame:
    """A record that was understood is its fields by TAB, byte for byte."""
    return conflicts.select(
        *PLACE,
        pl.concat_str(COLUMNS_12, separator="\t").cast(pl.Binary).alias("value"),
        pl.lit(ID_CONFLICT).alias("reason"),
    )


def _counts(parts: Sorted, rejected: pl.DataFrame) -> dict[str, Any]:
    return {
        "stored": len(parts.fresh) + len(parts.own),
        "duplicates": len(parts.duplicates),
        "rejected": len(rejected),
    }
