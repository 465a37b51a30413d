"""Query ``ingest``: every record of the topic ends in exactly one place: stored, rejected, or written down
as repeated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import polars as pl
import structlog
from pyspark.sql import DataFrame

from kakou import redis_keys
from kakou.detection.times import now_stamp, utc_now
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from spark_jobs.offset_log import OffsetLog
from spark_jobs.sinks.counters import Counter
from spark_jobs.sinks.fates import Batch
from spark_jobs.sinks.nodes import Nodes, NodesBatch
from spark_jobs.sinks.patience import patiently
from spark_jobs.sinks.rejected import RejectedTopic
from spark_jobs.sinks.sorting import ID_CONFLICT, PLACE, Sorted, sort_out
from spark_jobs.sinks.through_endpoint import Endpoint, EndpointBatch
from spark_jobs.slices import Slices
from sql.gates import ensure_gates

_LOG = structlog.get_logger("kakou.stream")
QUERY: Final = "ingest"
_GOOD: Final = (*PLACE, *COLUMNS_12)
_REJECTED: Final = (*PLACE, "value", "size", "reason")
_NOTHING: Final = {"stored": 0, "duplicates": 0, "rejected": 0}


class Ingest:
    """The sink of the query; called once per micro-batch, and again with the same one after a crash.

    Args:
        settings: stores, route and retry cap.
        query: names this query in ``batch_ledger``; asked for with each batch, as only a started query has
            an id.
        offsets: tells what a batch spans.
    """

    def __init__(self, settings: Settings, query: Callable[[], str], offsets: OffsetLog) -> None:
        self._settings = settings
        self._query = query
        self._offsets = offsets
        self._store: Nodes | Endpoint = (
            Nodes(settings) if settings.ingest_route == "shards" else Endpoint(settings)
        )
        self._topic = RejectedTopic(settings)
        self._counter = Counter(settings, redis_keys.STREAM_PROGRESS)
        self._gates: set[str] = set()

    def __call__(self, rows: DataFrame, number: int) -> None:
        """Takes one micro-batch of ``slices.parsed``; raises ``StorageError`` when a store stays away."""
        began = time.monotonic()
        span = self._offsets.span(number)
        if not span.size:
            return
        batch = Batch(self._query(), number, span.start, span.end)
        counts = patiently(
            self._settings, "Storing a batch", _Once(self, batch, Slices(self._settings, rows, span))
        )
        seconds = time.monotonic() - began
        self._counter.count(batch.query, number, counts, self._facts(batch, seconds))
        _LOG.info("batch", query=QUERY, batch=number, seconds=round(seconds, 3), **counts)

    def close(self) -> None:
        """Lets go of threads and connections."""
        self._store.close()
        self._topic.close()
        self._counter.close()

    def take(
        self, batch: Batch, slices: Iterable[pl.DataFrame], sent: set[tuple[int, int]]
    ) -> dict[str, int]:
        """One try at a batch.

        Args:
            slices: its rows, in the order (partition, offset) from slice to slice.
            sent: places of rejected records that an earlier try has sent; grows.
        """
        totals = dict(_NOTHING)
        with self._store.begin(batch) as writing:
            if writing.done:
                # Only the progress was lost; what the batch held was counted at the nodes.
                return totals
            for rows in slices:
                parts, rejected = self._take_slice(writing, rows, sent)
                totals["stored"] += len(parts.fresh) + len(parts.own)
                totals["duplicates"] += len(parts.duplicates)
                totals["rejected"] += len(rejected)
            writing.commit()
        return totals

    def _take_slice(
        self, writing: NodesBatch | EndpointBatch, rows: pl.DataFrame, sent: set[tuple[int, int]]
    ) -> tuple[Sorted, pl.DataFrame]:
        good = rows.filter(pl.col("reason").is_null()).select(_GOOD)
        bad = rows.filter(pl.col("reason").is_not_null()).select(_REJECTED)
        parts = sort_out(good, writing.stored_under(good["gcxh"].unique().to_list()))
        rejected = pl.concat([bad, _as_rejected(parts.conflicts)], how="vertical_relaxed")
        self._send(rejected, sent)
        self._know_gates(parts.fresh)
        writing.add(parts, rejected)
        return parts, rejected

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

    def __init__(self, ingest: Ingest, batch: Batch, slices: Slices) -> None:
        self._call = (ingest, batch, slices)
        self._sent: set[tuple[int, int]] = set()

    def __call__(self) -> dict[str, int]:
        ingest, batch, slices = self._call
        return ingest.take(batch, slices, self._sent)


def _as_rejected(conflicts: pl.DataFrame) -> pl.DataFrame:
    """A record that was understood is its fields by TAB, byte for byte."""
    value = pl.concat_str(COLUMNS_12, separator="\t").cast(pl.Binary)
    return conflicts.select(
        *PLACE,
        value.alias("value"),
        value.bin.size().cast(pl.Int32).alias("size"),
        pl.lit(ID_CONFLICT).alias("reason"),
    )
