"""Nightly job: minimum travel times between gates, learned from all observed passes.

The definition is that of ``kakou.detection.travel``; this is the same in Spark, for histories larger than
memory. A test holds the two against each other.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import structlog
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from kakou.detection.travel import (
    BASIS_FEW,
    BASIS_LEARNED,
    MAX_GAP_SECONDS,
    MIN_TRIPS,
    QUANTILE,
    SAFETY,
    TRAVEL_COLUMNS,
)
from kakou.plates import WHOLE_PLATE_PATTERN
from kakou.settings import Settings
from kakou.whole_files import draft_of
from spark_jobs.passes import read_passes
from spark_jobs.session import build_session

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TravelTimesResult:
    """What was learned: ordered pairs written, those with enough trips, and the trips behind all."""

    pairs: int
    learned: int
    trips: int
    file: str


def learn_travel_times(settings: Settings, passes: Path) -> TravelTimesResult:
    """Learns minimum travel times and swaps ``settings.travel_times_file`` for the new one, whole.

    Rows that no gate saw are left out, unless ``settings.origins`` says otherwise.
    Masked plates give no travel time: the file then holds its header only, and the stream falls back to
    geography.

    Raises:
        BadInputError: ``passes`` is not there or is no Parquet of passes.
    """
    spark = build_session(settings, "learn_travel_times")
    seen = read_passes(spark, passes, settings.origins).where("NOT made_up")
    rows = [tuple(row) for row in travel_times(seen).collect()]
    _write(settings.travel_times_file, rows)
    result = TravelTimesResult(
        pairs=len(rows),
        learned=sum(row[4] == BASIS_LEARNED for row in rows),
        trips=sum(row[2] for row in rows),
        file=str(settings.travel_times_file),
    )
    if rows:
        log.info("travel times learned", pairs=result.pairs, learned=result.learned, trips=result.trips)
    else:
        log.warning(
            "no travel times: no whole plate was seen at two gates within four hours "
            "(masked plates give none); the file holds its header only",
            passes=str(passes),
        )
    return result


def travel_times(passes: DataFrame) -> DataFrame:
    """Minimum travel times of each ordered pair of gates.

    Args:
        passes: ``gcxh, kkmc, hphm, at``, in any order.

    Returns:
        columns ``TRAVEL_COLUMNS``, sorted by pair; what ``kakou.detection.travel.learn`` gives.
    """
    whole = passes.where(F.col("hphm").rlike(WHOLE_PLATE_PATTERN)).withColumn("t", F.unix_seconds("at"))
    once = (
        whole.groupBy("gcxh")
        .agg(F.min(F.struct("t", "hphm", "kkmc")).alias("first"))
        .select("gcxh", "first.t", "first.hphm", "first.kkmc")
    )
    track = Window.partitionBy("hphm").orderBy("t", "gcxh")
    trips = (
        once.select(
            F.lag("kkmc").over(track).alias("from_kkmc"),
            F.col("kkmc").alias("to_kkmc"),
            (F.col("t") - F.lag("t").over(track)).alias("gap"),
        )
        .where(F.col("from_kkmc") != F.col("to_kkmc"))
        .where(F.col("gap").between(1, MAX_GAP_SECONDS))
    )
    pair = Window.partitionBy("from_kkmc", "to_kkmc")
    ranked = trips.select(
        "*",
        F.row_number().over(pair.orderBy("gap")).alias("rank"),
        F.count(F.lit(1)).over(pair).alias("passes"),
    )
    return (
        ranked.where(F.col("rank") == F.floor(F.lit(QUANTILE) * (F.col("passes") - 1)) + 1)
        .select(
            "from_kkmc",
            "to_kkmc",
            "passes",
            F.floor(F.lit(SAFETY) * F.col("gap")).alias("min_travel_seconds"),
            F.when(F.col("passes") >= MIN_TRIPS, BASIS_LEARNED).otherwise(BASIS_FEW).alias("basis"),
        )
        .select(*TRAVEL_COLUMNS)
        .orderBy("from_kkmc", "to_kkmc")
    )


def _write(target: Path, rows: list[tuple[object, ...]]) -> None:
    with draft_of(target, durable=True) as draft, draft.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(TRAVEL_COLUMNS)
        writer.writerows(rows)
