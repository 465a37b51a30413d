"""Rule: the one definition of the flow model, its baseline and its uncertainty.

Model: ridge regression of the square root of an hour's count (the root makes counting noise equally wide at
busy and quiet gates) on gate, hour and kind of day and their interactions. The penalty shrinks an
interaction that few days support towards its parts, so a Sunday 03:00 seen twice leans on all nights of that
gate. Every stage is stock Spark ML, so the fitted pipeline is one artefact: ``(kkmc, hour, is_weekend,
is_holiday) -> predicted, low, high``.

Uncertainty: split conformal by time. Quantiles of the held-back residuals in root space, apart for small,
middle and large flows, become the last stage of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.regression import LinearRegression
from pyspark.sql import SparkSession

COVERAGE: Final = 0.90
# Strength of the penalty, as the number of imagined days that pull each effect to zero; chosen on held-back
# days.
PENALTIES: Final = (0.3, 1.0)
FEATURES: Final = ("kkmc", "hour", "is_weekend", "is_holiday")
SCALES: Final = 3

Floats = npt.NDArray[np.float64]

_CELLS: Final = {
    "c_gate": "kkmc",
    "c_gate_hour": "concat_ws('|', kkmc, hour)",
    "c_gate_hour_weekend": "concat_ws('|', kkmc, hour, is_weekend)",
}
# A holiday is seen at every gate and hour, yet it is one day: scaled so that one holiday counts about as
# much as the penalty, five of them nearly in full.
_HOLIDAY: Final = "0.02D * is_holiday AS holiday"
_OUTPUT: Final = ("kkmc", "day", "hour", "root", "predicted", "low", "high")


@dataclass(frozen=True, slots=True)
class Intervals:
    """Residual quantiles in root space; ``edges`` part predictions (as roots) into ``len(edges) + 1``
    scales.
    """

    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


NO_INTERVALS: Final = Intervals((), (0.0,), (0.0,))


def fit(spark: SparkSession, known: pd.DataFrame, penalty: float) -> PipelineModel:
    """Fits the model on known hours (``FEATURES`` and ``count``); its output has no width yet, see
    ``with_intervals``.
    """
    # What is the same in every row says nothing, and Spark gives it no penalty, which leaves the equations
    # singular.
    names = [name for name in _CELLS if name != "c_gate" or known["kkmc"].nunique() > 1]
    holiday = ["holiday"] if known["is_holiday"].nunique() > 1 else []
    indexed = [f"i_{name}" for name in names]
    hot = [f"h_{name}" for name in names]
    cells = ", ".join(f"{cell} AS {name}" for name, cell in _CELLS.items())
    pipeline = Pipeline(
        stages=[
            SQLTransformer(
                statement=f"SELECT *, {cells}, {_HOLIDAY} FROM __THIS__"  # noqa: S608 - our own words, no input
            ),
            # A cell that was never seen has no effect of its own and falls back to the effects it is made of.
            StringIndexer(inputCols=names, outputCols=indexed, handleInvalid="keep"),
            OneHotEncoder(inputCols=indexed, outputCols=hot, dropLast=True),
            VectorAssembler(inputCols=[*hot, *holiday], outputCol="features"),
            LinearRegression(
                labelCol="label",
                predictionCol="root",
                # The loss is a mean over rows, so a weight in rows is divided by their number; one row of a
                # cell is one day.
                regParam=penalty / max(len(known), 1),
                elasticNetParam=0.0,
                standardization=False,
                maxIter=200,
                tol=1e-7,
            ),
        ]
    )
    rows = known.assign(label=np.sqrt(known["count"].astype("float64")))
    fitted: PipelineModel = pipeline.fit(spark.createDataFrame(rows[[*FEATURES, "label"]]))
    return with_intervals(fitted, NO_INTERVALS)


def with_intervals(model: PipelineModel, intervals: Intervals) -> PipelineModel:
    """The same model whose ``low`` and ``high`` are as wide as ``intervals`` says."""
    stages: list[Transformer] = [
        s for s in model.stages if not (isinstance(s, SQLTransformer) and _is_width(s))
    ]
    return PipelineModel(stages=[*stages, SQLTransformer(statement=_width_statement(intervals))])


def predict(spark: SparkSession, model: PipelineModel, wanted: pd.DataFrame) -> pd.DataFrame:
    """Predicts hours.

    Args:
        spark: the session.
        model: a fitted model, or one that was loaded from the registry.
        wanted: ``FEATURES`` and ``day``.

    Returns:
        ``kkmc, day, hour, root, predicted, low, high`` in the order of ``wanted``.
    """
    rows = wanted[["day", *FEATURES]].assign(row=np.arange(len(wanted), dtype="int64"))
    found = model.transform(spark.createDataFrame(rows)).select("row", *_OUTPUT).toPandas()
    return pd.DataFrame(found.sort_values("row", ignore_index=True).drop(columns="row"))


def baseline(known: pd.DataFrame, wanted: pd.DataFrame) -> Floats:
    """Mean of the known hours by gate × hour × weekend; a cell never seen falls back to gate × hour, gate,
    all.
    """
    found = np.full(len(wanted), np.nan)
    for keys in (["kkmc", "hour", "is_weekend"], ["kkmc", "hour"], ["kkmc"]):
        means = known.groupby(keys)["count"].mean().rename("mean").reset_index()
        merged = wanted[keys].merge(means, on=keys, how="left")["mean"].to_numpy(dtype="float64")
        found = np.where(np.isnan(found), merged, found)
    return np.where(np.isnan(found), float(known["count"].mean()), found)


def calibrate(predicted: Floats, actual: Floats, coverage: float = COVERAGE) -> Intervals:
    """Split-conformal quantiles of the residuals of hours that the model has not seen.

    With n residuals in a scale, the upper bound is the ``ceil((n + 1)(1 + coverage) / 2)``-th smallest, the
    lower bound its mirror image: finite-sample valid if hours were exchangeable (Vovk et al. 2005; Romano et
    al. 2019). Hours of one day are not, so the coverage that a run reports is the measured one.
    """
    root, residual = np.sqrt(predicted), np.sqrt(actual) - np.sqrt(predicted)
    edges = tuple(float(e) for e in np.quantile(root, [i / SCALES for i in range(1, SCALES)]))
    scale = np.searchsorted(edges, root, side="right")
    low, high = [], []
    for number in range(SCALES):
        ordered = np.sort(residual[scale == number])
        n = len(ordered)
        if n == 0:  # many equal predictions; the other scales hold all
            ordered, n = np.sort(residual), len(residual)
        rank = min(int(np.ceil((n + 1) * (1 + coverage) / 2)), n)
        low.append(float(min(ordered[n - rank], 0.0)))
        high.append(float(max(ordered[rank - 1], 0.0)))
    return Intervals(edges, tuple(low), tuple(high))


def widen(predicted: Floats, intervals: Intervals) -> tuple[Floats, Floats]:
    """Low and high of predictions; the same formula as the pipeline's last stage."""
    root = np.sqrt(predicted)
    scale = np.searchsorted(intervals.edges, root, side="right")
    low = np.maximum(root + np.array(intervals.low)[scale], 0.0) ** 2
    return low, np.maximum(root + np.array(intervals.high)[scale], 0.0) ** 2


def _width_statement(intervals: Intervals) -> str:
    root = "greatest(root, 0D)"

    def chosen(values: tuple[float, ...]) -> str:
        cases = [
            f"WHEN {root} < {edge!r}D THEN {value!r}D"
            for edge, value in zip(intervals.edges, values, strict=False)
        ]
        return f"CASE {' '.join(cases)} ELSE {values[-1]!r}D END" if cases else f"{values[-1]!r}D"

    return (
        f"SELECT *, pow({root}, 2) AS predicted, "  # noqa: S608 - our own numbers, no input
        f"pow(greatest({root} + {chosen(intervals.low)}, 0D), 2) AS low, "
        f"pow(greatest({root} + {chosen(intervals.high)}, 0D), 2) AS high FROM __THIS__"
    )


def _is_width(stage: SQLTransformer) -> bool:
    return " AS predicted" in (stage.getStatement() or "")
