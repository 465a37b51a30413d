"""Nightly job: what honest traffic looks like, learned from all observed passes.

Minimum travel times between gates by the definition of ``kakou.detection.travel``; this is the same in Spark,
for histories larger than memory, and a test holds the two against each other. What verdicts go by
(``kakou.detection.knowledge``), learned from as many vehicles as fit into memory. And what is known of single
plates, of every one of them (``spark_jobs.single_plates``). Each run is a version in MLflow. What reviews say
of alerts sets how reasons are weighed (``spark_jobs.tonights_reviews``). The gates whose place on the map
detection will not use by what was learned are named in the log and in the version.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl
import structlog
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from kakou.detection.files import registered_gates
from kakou.detection.knowledge import Knowledge, knows_nothing, learn_knowledge, with_gates
from kakou.detection.knowledge_bytes import from_bytes, to_bytes
from kakou.detection.learned_rules import refused_geometry
from kakou.detection.refusals import Refusal, said
from kakou.detection.travel import (
    BASIS_FEW,
    BASIS_LEARNED,
    MAX_GAP_SECONDS,
    MIN_TRIPS,
    QUANTILE,
    SAFETY,
    TRAVEL_COLUMNS,
)
from kakou.errors import BadInputError, KakouError, ServiceError
from kakou.plates import WHOLE_PLATE_PATTERN
from kakou.settings import Settings
from kakou.whole_files import draft_of
from spark_jobs.mlflow_server import MlflowServer
from spark_jobs.parse import local_seconds_of
from spark_jobs.passes import read_passes
from spark_jobs.session import build_session
from spark_jobs.single_plates import forget_past, keep_single_plates
from spark_jobs.tonights_reviews import TonightsReviews, tonights_reviews

log = structlog.get_logger(__name__)
EXPERIMENT: Final = "travel_times"
# Passes that knowledge is learned from at most, by whole vehicles: about 1 GB of memory.
MOST_PASSES: Final = 3_000_000


@dataclass(frozen=True, slots=True)
class TravelTimesResult:
    """What was learned: ordered pairs written, those with enough trips, and the trips behind all; the share
    of reads with a wrong character; the whole plates of which something is known; the reviewed alerts that
    weigh, None where nobody could be asked; gates, and pairs of gates, whose place on the map is not used,
    None where the registry cannot be read; and the run in MLflow, "" where that was away."""

    pairs: int
    learned: int
    trips: int
    misread: float
    plates: int
    reviews: int | None
    places_not_used: list[str] | None
    file: str
    run_id: str


def learn_travel_times(settings: Settings, passes: Path) -> TravelTimesResult:
    """Learns, and swaps ``settings.travel_times_file`` and ``settings.knowledge_file`` for new ones, whole.

    The file of single plates is there before the knowledge that names it.
    Rows that no gate saw are left out, unless ``settings.origins`` says otherwise.
    Masked plates give no travel time: the file then holds its header only, and the stream falls back to
    geography. Where MLflow is away the stream learns all the same, and the version has no name. Where the
    reviews are away reasons are weighed as the night before.

    Raises:
        BadInputError: ``passes`` is not there or is no Parquet of passes.
    """
    spark = build_session(settings, "learn_travel_times")
    seen = read_passes(spark, passes, settings.origins).where("NOT made_up")
    rows = [tuple(row) for row in travel_times(seen).collect()]
    told = tonights_reviews(settings)
    plates = keep_single_plates(settings, seen)
    known = replace(knowledge_of(seen), reviewed=told.calibration, past=plates.name)
    refused = _refused(settings, known)
    result = TravelTimesResult(
        pairs=len(rows),
        learned=sum(row[4] == BASIS_LEARNED for row in rows),
        trips=sum(row[2] for row in rows),
        misread=round(known.confusion.misread, 4),
        plates=plates.plates,
        reviews=told.weighed,
        places_not_used=None if refused is None else [one.label for one in refused],
        file=str(settings.travel_times_file),
        run_id="",
    )
    with draft_of(settings.travel_times_file, durable=True) as draft:
        _write(draft, rows)
        result = replace(result, run_id=_logged(settings, passes, result, draft, known, told, refused or []))
    before = _past_named(settings)
    with draft_of(settings.knowledge_file, durable=True) as draft:
        draft.write_bytes(to_bytes(replace(known, version=result.run_id)))
    # Whoever has just read the knowledge before may still open the file that it names.
    forget_past(settings, plates.name, before)
    if rows:
        log.info("travel times learned", pairs=result.pairs, learned=result.learned, trips=result.trips)
    else:
        log.warning(
            "no travel times: no whole plate was seen at two gates within four hours "
            "(masked plates give none); the file holds its header only",
            passes=str(passes),
        )
    return result


def _past_named(settings: Settings) -> str:
    """The file of plates of the knowledge in force; "" where there is none."""
    try:
        return from_bytes(settings.knowledge_file.read_bytes()).past
    except (OSError, KakouError):
        return ""


def knowledge_of(passes: DataFrame) -> Knowledge:
    """What the passes under whole plates teach; of a history that is too large, every so many-th vehicle.

    Args:
        passes: ``gcxh, kkmc, hphm, hpzl, clppxh, at``, in any order.
    """
    whole = passes.where(F.col("hphm").rlike(WHOLE_PLATE_PATTERN))
    share = max(1, math.ceil(whole.count() / MOST_PASSES))
    some = whole.where(F.pmod(F.xxhash64("hphm"), F.lit(share)) == 0)
    rows = some.select("gcxh", "kkmc", "hphm", "hpzl", "clppxh", local_seconds_of(F.col("at")).alias("t"))
    history = pl.DataFrame(pl.from_arrow(rows.toArrow()))
    if history.is_empty():
        return knows_nothing([])
    known = learn_knowledge(history, history["kkmc"].unique().sort().to_list())
    return replace(known, daily=known.daily * share)


def _refused(settings: Settings, known: Knowledge) -> list[Refusal] | None:
    """Whose place on the map detection will not use, said in the log; None where the registry cannot be read,
    which is the stream's matter and no reason not to learn."""
    try:
        gates = registered_gates(settings)
    except BadInputError as error:
        log.warning("it is not known whose place on the map is not used", why=str(error))
        return None
    names = gates["kkmc"].unique(maintain_order=True).to_list()
    refused = refused_geometry(gates, with_gates(known, names))
    if refused:
        log.warning("places not used", gates=[one.label for one in refused], why=said(refused))
    return refused


def _as_json(refused: list[Refusal]) -> str:
    return json.dumps([one.as_dict() for one in refused], ensure_ascii=False, indent=1)


def _logged(
    settings: Settings,
    passes: Path,
    result: TravelTimesResult,
    file: Path,
    known: Knowledge,
    told: TonightsReviews,
    refused: list[Refusal],
) -> str:
    """Makes the run in MLflow; returns its id, or "" where MLflow is away."""
    try:
        server = MlflowServer(settings, "the stream goes by what was learned all the same.")
        with server.talking():
            mlflow = server.library()
            mlflow.set_experiment(EXPERIMENT)
            with mlflow.start_run() as run:
                mlflow.log_params({"passes": str(passes), "single_plates": known.past})
                counts = {"pairs": result.pairs, "learned": result.learned, "trips": result.trips}
                counts["plates"] = result.plates
                shares = {"misread": known.confusion.misread, "wrong_make": known.make.wrong}
                gates = {"gates": len(known.gates)}
                if result.places_not_used is not None:
                    gates["places_not_used"] = len(refused)
                mlflow.log_metrics(counts | gates | shares | told.metrics)
                if refused:
                    mlflow.log_text(_as_json(refused), "places_not_used.json")
                mlflow.log_text(file.read_text(encoding="utf-8"), settings.travel_times_file.name)
                version = str(run.info.run_id)
                with tempfile.TemporaryDirectory() as folder:
                    held = Path(folder) / settings.knowledge_file.name
                    held.write_bytes(to_bytes(replace(known, version=version)))
                    mlflow.log_artifact(str(held))
                return version
    except ServiceError as error:
        log.warning("the version is not in MLflow", why=str(error))
        return ""


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
    with target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(TRAVEL_COLUMNS)
        writer.writerows(rows)
