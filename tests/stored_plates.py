"""What a history says of single plates, as Spark counts it, made without Spark."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from kakou.detection.past import READS, counted_reads
from kakou.detection.plate_keys import keys_of


def reads_with_keys(passes: pl.DataFrame) -> pl.DataFrame:
    """``key``, ``make``, ``type``, ``n``, by key."""
    reads = counted_reads(passes)
    keys = pl.Series("key", keys_of(reads["hphm"].to_list()))
    return reads.select(keys, *READS).sort("key", "make", "type")


def in_batches(reads: pl.DataFrame, rows: int) -> Iterable[pa.RecordBatch]:
    """The same in pieces, whose edges may lie inside a plate."""
    table = reads.to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.cast(_SCHEMA).to_batches(rows)


_SCHEMA = pa.schema([("key", pa.int64()), ("make", pa.string()), ("type", pa.string()), ("n", pa.int64())])
