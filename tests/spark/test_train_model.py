"""The flow model on a small road whose true flow is known."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flow_world import FIRST_DAY, GATES, counts, counts_file, passes_file, true_flow
from pyspark.ml import PipelineModel
from pyspark.ml.regression import LinearRegressionModel
from pyspark.sql import SparkSession

from kakou.errors import BadInputError, TooLittleDataError
from kakou.settings import Settings
from spark_jobs.flow_counts import hourly_cells, known_hours, with_calendar
from spark_jobs.flow_evaluation import Evaluation, evaluate
from spark_jobs.flow_files import backtest, forecast
from spark_jobs.flow_model import calibrate, fit, predict, widen, with_intervals
from spark_jobs.passes import read_passes

pytestmark = pytest.mark.spark

DAYS = 28


@pytest.fixture(scope="module")
def evaluation(spark: SparkSession) -> Evaluation:
    return evaluate(spark, with_calendar(counts(DAYS)))


def test_passes_are_counted_per_gate_and_hour(spark: SparkSession, tmp_path: Path):
    known = counts(3)
    counted = known_hours(hourly_cells(read_passes(spark, passes_file(tmp_path, known))))
    expected = known.sort_values(["kkmc", "day", "hour"], ignore_index=True)
    pd.testing.assert_frame_equal(counted, expected, check_dtype=False)


def test_made_up_passes_and_repeated_ids_do_not_count(spark: SparkSession, tmp_path: Path):
    path = passes_file(tmp_path, counts(1))
    frame = pd.read_parquet(path)
    made = frame.assign(GCXH=frame["GCXH"] + "-R2", GCSJ=frame["GCSJ"] + timedelta(days=1))
    both = [made.iloc[::2].assign(ORIGIN="replicated"), made.iloc[1::2].assign(ORIGIN="copied")]
    pd.concat([frame, *both, frame.head(50)]).to_parquet(path, index=False)
    counted = known_hours(hourly_cells(read_passes(spark, path)))
    assert counted["count"].sum() == len(frame)
    assert set(counted["day"]) == {FIRST_DAY}
    everything = known_hours(hourly_cells(read_passes(spark, path, "all")))
    assert everything["count"].sum() == 2 * len(frame)


def test_hours_that_were_filled_up_are_unknown(spark: SparkSession, tmp_path: Path):
    """The second day is real up to 13:00; from then on it is the first day's, but for some rows without a
    twin."""
    path = passes_file(tmp_path, counts(2))
    frame = pd.read_parquet(path)
    filled = frame["GCSJ"] >= pd.Timestamp(FIRST_DAY + timedelta(days=1)) + timedelta(hours=13)
    frame.loc[filled & (frame.index % 10 > 0), "ORIGIN"] = "copied"
    frame.to_parquet(path, index=False)
    counted = known_hours(hourly_cells(read_passes(spark, path)))
    expected = counts(2).query("day == @FIRST_DAY or hour < 13")
    expected = expected.sort_values(["kkmc", "day", "hour"], ignore_index=True)
    pd.testing.assert_frame_equal(counted, expected, check_dtype=False)


def test_held_back_days_show_a_model_close_to_the_truth(evaluation: Evaluation):
    figures = evaluation.metrics
    # No forecast of a Poisson count can do better than its own mean; five days are held back.
    known = counts(DAYS)
    test = known[known["day"].isin(evaluation.split.test)]
    truth = np.array([true_flow(*row) for row in test[["kkmc", "day", "hour"]].itertuples(index=False)])
    least = np.abs(test["count"].to_numpy() - truth).mean()
    assert figures["mae"] < 1.15 * least
    assert figures["mae"] < 1.05 * figures["baseline_mae"]
    assert 0.82 <= figures["coverage"] <= 0.97
    assert evaluation.beats_baseline == (figures["mae"] < figures["baseline_mae"])


def test_test_days_do_not_reach_the_model(spark: SparkSession, evaluation: Evaluation):
    spoiled = with_calendar(counts(DAYS))
    late = spoiled["day"].isin(evaluation.split.test)
    spoiled.loc[late, "count"] = 999
    again = evaluate(spark, spoiled)
    wanted = spoiled[late]
    pd.testing.assert_frame_equal(
        predict(spark, evaluation.model, wanted), predict(spark, again.model, wanted)
    )
    assert again.metrics["mae"] > 100


def test_saved_pipeline_predicts_alone_with_the_widths_it_was_given(
    spark: SparkSession, evaluation: Evaluation, tmp_path: Path
):
    known = with_calendar(counts(10))
    intervals = calibrate(np.arange(1.0, 500.0), np.arange(1.0, 500.0)[::-1])
    model = with_intervals(evaluation.model, intervals)
    model.save(str(tmp_path / "model"))
    found = predict(spark, PipelineModel.load(str(tmp_path / "model")), known)
    low, high = widen(found["predicted"].to_numpy(), intervals)
    np.testing.assert_allclose(found["low"], low)
    np.testing.assert_allclose(found["high"], high)
    assert (found["low"] >= 0).all()
    assert sum(type(stage).__name__ == "SQLTransformer" for stage in model.stages) == 2
    assert found["kkmc"].tolist() == known["kkmc"].tolist()


def test_cell_that_was_never_seen_leans_on_its_gate(spark: SparkSession):
    workdays = with_calendar(counts(5, first=FIRST_DAY + timedelta(days=3)))  # Monday to Friday
    saturday = with_calendar(pd.DataFrame({"kkmc": GATES, "day": FIRST_DAY + timedelta(days=8), "hour": 8}))
    found = predict(spark, fit(spark, workdays, 0.3), saturday)["predicted"].tolist()
    seen = [true_flow(gate, FIRST_DAY + timedelta(days=3), 8) for gate in GATES]
    assert found == pytest.approx(seen, rel=0.4)


def test_one_gate_without_a_holiday_is_solved_exactly(spark: SparkSession):
    known = with_calendar(counts(14).query("kkmc == 'C'"))
    model = fit(spark, known, 0.3)
    (regression,) = (stage for stage in model.stages if isinstance(stage, LinearRegressionModel))
    # Where the equations are singular Spark falls back to a search, which takes iterations and may give up.
    assert regression.summary.totalIterations == 0
    found = predict(spark, model, known)["predicted"].to_numpy()
    truth = [true_flow("C", day, hour) for day, hour in zip(known["day"], known["hour"], strict=True)]
    assert np.abs(found - truth).mean() < 1.5


def test_backtest_reports_model_beside_baseline(spark: SparkSession, settings: Settings, tmp_path: Path):
    report = backtest(settings, counts_file(tmp_path, counts(14)), tmp_path / "out" / "report.json")
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == report
    assert report["days"]["test"] == ["2024-03-13", "2024-03-14", 2]
    assert report["model"].keys() == report["baseline"].keys()
    assert report["beats_baseline"] == (report["model"]["mae"] < report["baseline"]["mae"])
    assert 0 < report["model"]["wmape"] < 1


def test_forecast_covers_the_hours_after_the_last_one(
    spark: SparkSession, settings: Settings, tmp_path: Path
):
    known = counts(14)
    known = known[(known["day"] < FIRST_DAY + timedelta(days=13)) | (known["hour"] < 20)]
    # A gap in the middle is unknown, and is no reason to forecast there.
    known = known[known["day"] != FIRST_DAY + timedelta(days=6)]
    rows, _ = forecast(settings, counts_file(tmp_path, known), 30, tmp_path / "forecast.csv")
    found = pd.read_csv(tmp_path / "forecast.csv")
    assert list(found.columns) == ["kkmc", "hour", "low", "mid", "high"]
    assert rows == len(found) == 30 * len(GATES)
    assert found["hour"].min() == "2024-03-14 20:00:00"
    assert found["hour"].max() == "2024-03-16 01:00:00"
    assert (found["low"] >= 0).all()
    assert ((found["low"] <= found["mid"]) & (found["mid"] <= found["high"])).all()


def test_forecast_refuses_too_little_and_nonsense(spark: SparkSession, settings: Settings, tmp_path: Path):
    with pytest.raises(TooLittleDataError):
        forecast(settings, counts_file(tmp_path, counts(6)), 24, tmp_path / "out.csv")
    with pytest.raises(BadInputError, match="--horizon"):
        forecast(settings, counts_file(tmp_path, counts(14)), 0, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
