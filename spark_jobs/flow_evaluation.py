"""Rule: how good a forecast is, measured only on days that the forecaster has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from spark_jobs.flow_model import (
    COVERAGE,
    PENALTIES,
    Floats,
    Intervals,
    baseline,
    calibrate,
    fit,
    predict,
    widen,
)

TEST_SHARE: Final = 0.15
# The width of the interval hangs on how much days differ, so more of them go into it.
CALIBRATION_SHARE: Final = 0.2
LEAST_HELD_BACK: Final = 2
LEAST_TRAINING: Final = 3


@dataclass(frozen=True, slots=True)
class Split:
    """Days by use, in time order: fitted on, used for penalty and interval width, used for the figures
    only.
    """

    train: tuple[date, ...]
    calibration: tuple[date, ...]
    test: tuple[date, ...]


@dataclass(frozen=True)
class Evaluation:
    """What held-back days say.

    Attributes:
        split: which days were used for what.
        penalty: the chosen one.
        model: fitted on the training days only.
        intervals: widths for a model that is fitted on all days, from the residuals of both held-back parts.
        metrics: figures on the test days: ``mae``, ``rmse``, ``wmape``, ``pinball``, ``coverage``, ``width``
            and the same of the baseline as ``baseline_…``.
    """

    split: Split
    penalty: float
    model: PipelineModel
    intervals: Intervals
    metrics: dict[str, float]

    @property
    def beats_baseline(self) -> bool:
        return self.metrics["mae"] < self.metrics["baseline_mae"]


def split_by_time(days: list[date]) -> Split:
    """Holds back the last days: 20 % and then 15 % of them, at least two each; three or more stay to train.

    >>> split = split_by_time([date(2024, 1, day) for day in range(1, 15)])
    >>> len(split.train), len(split.calibration), len(split.test), split.test[-1]
    (9, 3, 2, datetime.date(2024, 1, 14))
    """
    ordered = sorted(days)
    test = max(LEAST_HELD_BACK, round(TEST_SHARE * len(ordered)))
    calibration = max(LEAST_HELD_BACK, round(CALIBRATION_SHARE * len(ordered)))
    train = max(len(ordered) - test - calibration, LEAST_TRAINING)
    return Split(tuple(ordered[:train]), tuple(ordered[train:-test]), tuple(ordered[-test:]))


def evaluate(
    spark: SparkSession, known: pd.DataFrame, progress: Callable[[str], None] = lambda _: None
) -> Evaluation:
    """Fits on the first days, chooses penalty and widths on the next, measures on the last.

    Args:
        spark: the session.
        known: known hours with their calendar.
        progress: told what is going on.
    """
    split = split_by_time(list(known["day"].unique()))
    train, calibration, test = (
        known[known["day"].isin(days)] for days in (split.train, split.calibration, split.test)
    )
    actual = _counts(calibration)
    tried = []
    for penalty in PENALTIES:
        progress(f"fitting on {len(split.train)} days with penalty {penalty:g}")
        model = fit(spark, train, penalty)
        predicted = _values(predict(spark, model, calibration), "predicted")
        tried.append((float(np.abs(actual - predicted).mean()), penalty, model, predicted))
    _, penalty, model, predicted = min(tried, key=lambda one: one[0])

    progress(f"measuring on the last {len(split.test)} days")
    on_test = _values(predict(spark, model, test), "predicted")
    metrics = measure(_counts(test), on_test, *widen(on_test, calibrate(predicted, actual)))
    plain, plain_test = baseline(train, calibration), baseline(train, test)
    plain_width = widen(plain_test, calibrate(plain, actual))
    metrics |= {
        f"baseline_{name}": value for name, value in measure(_counts(test), plain_test, *plain_width).items()
    }
    both = calibrate(np.concatenate([predicted, on_test]), np.concatenate([actual, _counts(test)]))
    return Evaluation(split, penalty, model, both, metrics)


def baseline_intervals(known: pd.DataFrame, split: Split) -> Intervals:
    """Widths of the baseline that is computed from all days, from its residuals on the held-back ones."""
    train = known[known["day"].isin(split.train)]
    held = known[~known["day"].isin(split.train)]
    return calibrate(baseline(train, held), _counts(held))


def measure(actual: Floats, predicted: Floats, low: Floats, high: Floats) -> dict[str, float]:
    """Figures of a forecast: MAE, RMSE, wMAPE (sum of misses over sum of passes), mean pinball loss of the
    three quantiles, share of hours within ``low … high`` and the mean width of that interval, both in passes
    per hour."""
    miss = np.abs(actual - predicted)
    total = float(actual.sum())
    tail = (1 - COVERAGE) / 2
    pinball = [
        _pinball(actual, low, tail),
        _pinball(actual, predicted, 0.5),
        _pinball(actual, high, 1 - tail),
    ]
    return {
        "mae": float(miss.mean()),
        "rmse": float(np.sqrt(((actual - predicted) ** 2).mean())),
        "wmape": float(miss.sum() / total) if total else 0.0,
        "pinball": float(np.mean(pinball)),
        "coverage": float(((actual >= low) & (actual <= high)).mean()),
        "width": float((high - low).mean()),
    }


def _pinball(actual: Floats, quantile: Floats, level: float) -> float:
    miss = actual - quantile
    return float(np.maximum(level * miss, (level - 1) * miss).mean())


def _counts(frame: pd.DataFrame) -> Floats:
    return _values(frame, "count")


def _values(frame: pd.DataFrame, column: str) -> Floats:
    return np.asarray(frame[column].to_numpy(dtype="float64"))
