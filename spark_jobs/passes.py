"""Edge: the one reader of stored passes for the nightly jobs.

A row that no gate saw (copied from another day, or replicated) teaches nothing about the road, so it is
told apart here, once, for every job.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from kakou.errors import BadInputError

NEEDED = ("gcxh", "kkmc", "gcsj", "hphm")
OBSERVED = "observed"


def read_passes(spark: SparkSession, path: Path, origins: str = OBSERVED) -> DataFrame:
    """Reads the passes of a Parquet file or folder.

    Args:
        spark: session whose time zone is the platform's.
        path: passes with at least ``NEEDED`` (either case); without a column ``ORIGIN`` every row counts as
            observed.
        origins: as ``Settings.origins``; ``all`` lets every row count as observed.

    Returns:
        columns ``gcxh, kkmc, hphm, hpzl, clppxh`` (text; the last two empty where the file has none), ``at``
        (timestamp) and ``made_up`` (no gate saw it); rows that lack id, gate or time are left out.

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
    # A row that does not say where it is from is not known to be observed.
    observed = F.col("origin").eqNullSafe(OBSERVED) if "origin" in names else F.lit(True)
    return frame.select(
        F.col("gcxh").cast("string").alias("gcxh"),
        F.col("kkmc").cast("string").alias("kkmc"),
        F.col("hphm").cast("string").alias("hphm"),
        *(
            (F.col(name).cast("string") if name in names else F.lit("")).alias(name)
            for name in ("hpzl", "clppxh")
        ),
        F.col("gcsj").cast("timestamp").alias("at"),
        (F.lit(False) if origins == "all" else ~observed).alias("made_up"),
    ).where("gcxh <> '' AND kkmc <> '' AND at IS NOT NULL")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
