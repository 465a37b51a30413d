"""Widths, baseline and figures: arithmetic that needs no Spark."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.flow_counts import with_calendar
from spark_jobs.flow_evaluation import measure, split_by_time
from spark_jobs.flow_model import baseline, calibrate, widen

WORKDAY, SATURDAY = date(2024, 3, 4), date(2024, 3, 9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_interval_holds_what_it_promises_when_hours_are_exchangeable(seed: int):
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(1, 100, 6_000)
    actual = rng.poisson(predicted).astype("float64")
    intervals = calibrate(predicted[:3_000], actual[:3_000])
    low, high = widen(predicted[3_000:], intervals)
    held = ((actual[3_000:] >= low) & (actual[3_000:] <= high)).mean()
    assert 0.87 <= held <= 0.94


def test_each_scale_gets_its_own_width():
    predicted = np.repeat([1.0, 25.0, 100.0], 200)
    noise = np.tile([-1.0, 1.0], 300) * np.repeat([0.0, 1.0, 3.0], 200)
    intervals = calibrate(predicted, (np.sqrt(predicted) + noise) ** 2)
    low, high = widen(np.array([1.0, 25.0, 100.0]), intervals)
    np.testing.assert_allclose(low, [1, 16, 49])
    np.testing.assert_allclose(high, [1, 36, 169])


def test_low_is_never_below_zero_and_the_interval_holds_the_prediction():
    predicted = np.array([0.0, 0.1, 3.0, 50.0])
    low, high = widen(predicted, calibrate(np.array([9.0] * 40), np.array([0.0, 100.0] * 20)))
    assert (low >= 0).all()
    assert (low <= predicted).all()
    assert (predicted <= high).all()


def test_one_residual_is_enough_for_a_width():
    intervals = calibrate(np.array([4.0]), np.array([9.0]))
    assert widen(np.array([4.0]), intervals) == (4.0, 9.0)


def test_baseline_is_the_mean_by_gate_hour_and_weekend_and_falls_back():
    seen = [("A", WORKDAY, 8, 10), ("A", WORKDAY + timedelta(days=1), 8, 20), ("A", SATURDAY, 8, 2)]
    known = with_calendar(
        pd.DataFrame([*seen, ("A", WORKDAY, 9, 8)], columns=["kkmc", "day", "hour", "count"])
    )
    wanted = with_calendar(
        pd.DataFrame(
            [("A", WORKDAY, 8), ("A", SATURDAY, 8), ("A", SATURDAY, 9), ("A", WORKDAY, 3), ("Z", WORKDAY, 8)],
            columns=["kkmc", "day", "hour"],
        )
    )
    assert baseline(known, wanted).tolist() == [15, 2, 8, 10, 10]


def test_figures_of_a_forecast():
    found = measure(*(np.array(v, dtype="float64") for v in ([10, 0], [8, 1], [5, 0.5], [9, 4])))
    assert found["mae"] == 1.5
    assert found["rmse"] == pytest.approx(np.sqrt(2.5))
    assert found["wmape"] == pytest.approx(0.3)
    assert found["coverage"] == 0.0
    assert found["width"] == pytest.approx(3.75)
    low = (0.05 * 5 + 0.95 * 0.5) / 2
    middle = (0.5 * 2 + 0.5 * 1) / 2
    high = (0.95 * 1 + 0.05 * 4) / 2
    assert found["pinball"] == pytest.approx((low + middle + high) / 3)


@pytest.mark.parametrize("days", range(7, 60))
def test_split_uses_every_day_once_and_in_order(days: int):
    every = [date(2024, 1, 1) + timedelta(days=n) for n in range(days)]
    split = split_by_time(list(reversed(every)))
    assert [*split.train, *split.calibration, *split.test] == every
    assert min(len(split.train) - 1, len(split.calibration), len(split.test)) >= 2
