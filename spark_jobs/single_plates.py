"""What the night knows of single plates: counted by Spark from all passes, kept as a file of plates."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kakou.detection.plate_file import Written, write_plates
from kakou.detection.plate_keys import ALPHABET, BITS, LONGEST
from kakou.detection.reads import BRAND_MARK
from kakou.fields import MISSING
from kakou.plates import WHOLE_PLATE_PATTERN
from kakou.settings import Settings
from kakou.whole_files import scratch_folder
from spark_jobs.parse import local_seconds_of

# Rows of a batch of the file, of which one is halved at a time.
_ROWS: Final = 1 << 20
# What Python and Polars call blank.
_BLANK: Final = r"(?U)^\s+|\s+$"


def keep_single_plates(settings: Settings, passes: DataFrame) -> Written:
    """Writes the file of all whole plates, of every one and of every pass: nothing is sampled.

    Args:
        passes: ``hphm, hpzl, clppxh, at``, in any order.

    Raises:
        DiskFullError: no room is left.
    """
    day = F.floor(local_seconds_of(F.col("at")) / 86_400)
    days = [int(row[0]) for row in passes.select(day).distinct().collect()]
    with scratch_folder(settings.past_dir, "reads") as scratch:
        counted = scratch / "reads"
        counted_reads(passes).orderBy("key", "make", "type").write.parquet(str(counted))
        return write_plates(settings.past_dir, partial(_batches, counted), days)


def counted_reads(passes: DataFrame) -> DataFrame:
    """Reads of each whole plate by what they show, as ``kakou.detection.past.counted_reads``.

    Returns:
        ``key`` (of ``plate_keys``), ``make``, ``type`` ("" where nothing was read), ``n``.
    """
    whole = passes.where(F.col("hphm").rlike(WHOLE_PLATE_PATTERN))
    return whole.groupBy(
        _key(F.col("hphm")).alias("key"),
        _known(F.substring_index("clppxh", BRAND_MARK, 1)).alias("make"),
        _known(F.col("hpzl")).alias("type"),
    ).agg(F.count(F.lit(1)).alias("n"))


def forget_past(settings: Settings, *kept: str) -> None:
    """Removes all files of plates but some, by their names."""
    for path in settings.past_dir.glob("*.arrow"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def _key(plate: Column) -> Column:
    """As ``plate_keys.keys_of``, of a whole plate."""
    key = F.lit(0).cast("long")
    for at in range(1, LONGEST + 1):
        code = F.instr(F.lit(ALPHABET), F.substring(plate, at, 1))
        there = F.when(F.length(plate) >= at, code).otherwise(0)
        key = key + F.shiftleft(there.cast("long"), BITS * (LONGEST - at))
    return key


def _known(value: Column) -> Column:
    text = F.regexp_replace(F.coalesce(value, F.lit("")), _BLANK, "")
    return F.when(text == MISSING, "").otherwise(text)


def _batches(folder: Path) -> Iterable[pa.RecordBatch]:
    """All rows of sorted Parquet, in the order of the files' names, which is that of the keys."""
    for path in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(path) as part:
            yield from part.iter_batches(_ROWS)
