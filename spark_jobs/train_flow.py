"""Nightly job: train the flow model, log it in MLflow, choose the champion, publish its forecasts.

Order of effects: run and version, alias, forecasts. A failure before the last leaves the old forecasts in
place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import structlog
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from kakou.settings import Settings
from spark_jobs.flow_counts import (
    TooLittleHistoryError,
    demand_history,
    hourly_cells,
    known_hours,
    with_calendar,
)
from spark_jobs.flow_evaluation import Evaluation, baseline_intervals, evaluate
from spark_jobs.flow_model import (
    COVERAGE,
    FEATURES,
    baseline,
    fit,
    predict,
    widen,
    with_intervals,
)
from spark_jobs.flow_publish import now, publish_forecast, report_status
from spark_jobs.flow_registry import Champion, FlowRegistry
from spark_jobs.passes import OBSERVED, read_passes
from spark_jobs.session import build_session

log = structlog.get_logger(__name__)

AHEAD_DAYS: Final = 30
_READS: Final = ",".join(FEATURES)
_TRAINED_ON: Final = {
    OBSERVED: "observed passes only, without hours that were filled with those of another day",
    "all": "all passes, copied and replicated ones too",
}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training ended.

    Attributes:
        version: registered version of this run; ``promoted`` says whether it is champion now, ``reason`` why.
        model_version: what the published forecasts are signed with.
        published: ``model`` or ``baseline``, whichever was better on held-back days.
        metrics: figures on the held-back days, see ``flow_evaluation``.
    """

    run_id: str
    version: str
    promoted: bool
    reason: str
    model_version: str
    published: str
    forecasts: int
    gates: int
    days: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Duel:
    promote: bool
    reason: str


def train_flow(settings: Settings, passes: Path, progress: Progress = lambda _: None) -> TrainResult:
    """Trains on the observed passes of a Parquet and publishes forecasts for today and the next 30 days.

    Args:
        settings: where everything is, and whether made-up rows count (``origins``).
        passes: the expanded passes of the batch.
        progress: told what is going on.

    Raises:
        TooLittleDataError: the history cannot support a model; the refusal is noted for the screen.
        BadInputError: ``passes`` cannot be read.
        ServiceError: MLflow is away; the old forecasts stay.
        StorageError: dn1 is away; the old forecasts stay.
    """
    spark = build_session(settings, "train_flow")
    progress("counting passes per gate and hour")
    known = with_calendar(known_hours(hourly_cells(read_passes(spark, passes, settings.origins))))
    try:
        demand_history(known)
    except TooLittleHistoryError as refusal:
        report_status(settings, "refused", reason=str(refusal), reason_zh=refusal.reason_zh)
        log.warning("training refused", reason=str(refusal))
        raise
    registry = FlowRegistry(settings)
    champion = registry.champion()
    evaluation = evaluate(spark, known, progress)
    duel = _duel(spark, registry, champion, known, evaluation)
    progress("fitting on all days")
    model = with_intervals(fit(spark, known, evaluation.penalty), evaluation.intervals)
    progress("logging to MLflow")
    run_id, version = _log(settings, registry, model, known, evaluation, duel)
    if duel.promote:
        registry.promote(version)
    stays = champion if champion and not duel.promote else None
    holder = stays.version if stays else version
    use_model = stays.beats_baseline if stays else evaluation.beats_baseline
    progress("publishing forecasts")
    wanted = _wanted(settings, known)
    if use_model:
        forecast = predict(spark, registry.load(stays.version) if stays else model, wanted)
        signature = f"{registry.name}/{holder}"
    else:
        forecast = _baseline_forecast(known, wanted, evaluation)
        signature = f"{registry.policy['model']['baseline_name']}/{holder}"
    rows = publish_forecast(settings, forecast, signature)
    reason, reason_zh = _published_words(use_model, evaluation)
    report_status(settings, "published", reason=reason, reason_zh=reason_zh, model_version=signature)
    result = TrainResult(
        run_id, version, duel.promote, duel.reason, signature, "model" if use_model else "baseline", rows,
        known["kkmc"].nunique(), known["day"].nunique(), evaluation.metrics,
    )  # fmt: skip
    log.info("flow model trained", version=version, promoted=duel.promote, reason=duel.reason, forecasts=rows)
    return result


def _duel(
    spark: SparkSession,
    registry: FlowRegistry,
    champion: Champion | None,
    known: pd.DataFrame,
    evaluation: Evaluation,
) -> _Duel:
    """Compares on those held-back days that the champion has not been trained on."""
    if champion is None:
        return _Duel(True, "first version")
    if champion.features != _READS:
        return _Duel(True, f"champion {champion.version} reads {champion.features or 'other features'}")
    totals = day_totals(known)
    unseen = [day for day in evaluation.split.test if champion.days.get(str(day)) != totals[str(day)]]
    if not unseen:
        return _Duel(False, f"no held-back day is new to champion {champion.version}")
    rows = known[known["day"].isin(unseen)]
    actual = rows["count"].to_numpy(dtype="float64")

    def miss(model: PipelineModel) -> float:
        return float(
            np.abs(predict(spark, model, rows)["predicted"].to_numpy(dtype="float64") - actual).mean()
        )

    ours, theirs = miss(evaluation.model), miss(registry.load(champion.version))
    return _Duel(
        ours < theirs,
        f"MAE {ours:.2f} against {theirs:.2f} of champion {champion.version} "
        f"on {len(unseen)} days new to both",
    )


def day_totals(known: pd.DataFrame) -> dict[str, float]:
    """Passes per day: tells whether a day of one history is the same day of another."""
    return {str(day): float(total) for day, total in known.groupby("day")["count"].sum().items()}


def _log(
    settings: Settings,
    registry: FlowRegistry,
    model: PipelineModel,
    known: pd.DataFrame,
    evaluation: Evaluation,
    duel: _Duel,
) -> tuple[str, str]:
    split, days = evaluation.split, sorted(known["day"].unique())
    better = str(evaluation.beats_baseline).lower()
    facts: dict[str, Any] = {
        "rows": len(known),
        "gates": known["kkmc"].nunique(),
        "days": len(days),
        "first_day": str(days[0]),
        "last_day": str(days[-1]),
        "train_days": len(split.train),
        "calibration_days": len(split.calibration),
        "test_days": len(split.test),
        "test_first": str(split.test[0]),
        "test_last": str(split.test[-1]),
    }
    tags = {
        "beats_baseline": better,
        "better_on_held_back_days": "model" if evaluation.beats_baseline else "baseline",
        "promoted": str(duel.promote).lower(),
        "reason": duel.reason,
        "trained_through": str(days[-1]),
        "features": _READS,
    }
    figures = {name: f"{value:.3f}" for name, value in evaluation.metrics.items()}
    card = facts | figures | {"covered": figures["coverage"], "coverage": f"{COVERAGE:.0%}"}
    card |= {"beats_baseline": better, "promoted": tags["promoted"], "reason": duel.reason}
    card["passes"] = _TRAINED_ON[settings.origins]
    card["trained_at"] = now(settings).isoformat(timespec="seconds")
    tables = {
        "baseline": known.groupby(["kkmc", "hour", "is_weekend"])[["count"]].mean().reset_index(),
        "intervals": pd.DataFrame(
            {
                "below_root": [*evaluation.intervals.edges, np.inf],
                "low": evaluation.intervals.low,
                "high": evaluation.intervals.high,
            }
        ),
    }
    params = facts | {"origins": settings.origins, "penalty": evaluation.penalty, "coverage": COVERAGE}
    return registry.log(
        model,
        params=params,
        metrics=evaluation.metrics,
        tags=tags,
        days=day_totals(known),
        tables=tables,
        card=card,
    )


def _wanted(settings: Settings, known: pd.DataFrame) -> pd.DataFrame:
    today = now(settings).date()
    days: list[date] = [today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1)]
    gates = pd.Series(sorted(known["kkmc"].unique()), name="kkmc").to_frame()
    grid = gates.merge(pd.DataFrame({"day": days}), how="cross")
    return with_calendar(grid.merge(pd.DataFrame({"hour": range(24)}), how="cross"))


def _baseline_forecast(known: pd.DataFrame, wanted: pd.DataFrame, evaluation: Evaluation) -> pd.DataFrame:
    predicted = baseline(known, wanted)
    low, high = widen(predicted, baseline_intervals(known, evaluation.split))
    return wanted.assign(predicted=predicted, low=low, high=high)


def _published_words(use_model: bool, evaluation: Evaluation) -> tuple[str | None, str | None]:
    if use_model:
        return None, None
    figures = f"MAE {evaluation.metrics['baseline_mae']:.2f} / {evaluation.metrics['mae']:.2f}"
    return (
        f"The baseline (mean by gate, hour and weekend) was better than the model on held-back days "
        f"({figures}), so its forecast is published.",
        f"在留出日上，基线（按卡口、小时、是否周末取均值）优于模型（{figures}），因此发布基线预测。",
    )
