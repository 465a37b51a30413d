"""Edge: the one reader of stored passes for the nightly jobs.

What the platform made up (copied and replicated days) teaches nothing about the road, so it is left out
here, once, for every job.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kakou.errors import BadInputError

NEEDED = ("gcxh", "kkmc", "gcsj", "hphm")
OBSERVED = "observed"


def observed_passes(spark: SparkSession, path: Path) -> DataFrame:
    """Reads the observed passes of a Parquet file or folder.

    Args:
        spark: session whose time zone is the platform's.
        path: passes with at least ``NEEDED`` (either case); without a column ``ORIGIN`` every row counts as
            observed.

    Returns:
        columns ``gcxh, kkmc, hphm`` (text) and ``at`` (timestamp); rows that lack one of them are left out.

    Raises:
        BadInputError: nothing is there, or a column is missing.
    """
    if not path.exists():
        raise BadInputError(
            f"There are no passes at {path}. Run `kakou etl run` first, or name a Parquet with --passes."
        )
    try:
        frame = spark.read.parquet(str(path))
    except Exception as error:  # Spark wraps a file that is no Parquet in several classes
        raise BadInputError(f"{path} cannot be read as Parquet: {_first_line(error)}") from error
    names = {name.lower() for name in frame.columns}
    missing = [name.upper() for name in NEEDED if name not in names]
    if missing:
        raise BadInputError(f"{path} lacks {', '.join(missing)}; name the Parquet of the expanded passes.")
    if "origin" in names:
        frame = frame.where(F.col("origin") == OBSERVED)
    return frame.select(
        F.col("gcxh").cast("string").alias("gcxh"),
        F.col("kkmc").cast("string").alias("kkmc"),
        F.col("hphm").cast("string").alias("hphm"),
        F.col("gcsj").cast("timestamp").alias("at"),
    ).where("gcxh <> '' AND kkmc <> '' AND at IS NOT NULL")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
