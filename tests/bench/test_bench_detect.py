"""The yardsticks of ``make bench-detect``."""

from __future__ import annotations

import polars as pl
import pytest
from bench_detect import calibration, scores, usual_rule


def test_scores_of_the_benchmark() -> None:
    truth = pl.DataFrame(
        {"plate": ["a", "b", "c"], "cloned": [True, True, False], "decidable": [True, False, False]}
    )
    assert scores({"a", "c"}, truth) == {
        "called": 2,
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
    }
    assert calibration({"a": 0.95, "c": 0.95}, truth) == pytest.approx(0.45)
    assert calibration({"a": 1.0}, truth) == 0.0
    passes = pl.DataFrame({
        "GCXH": ["1", "2"], "HPHM": ["苏C12345"] * 2, "KKMC": ["A", "D"],
        "GCSJ": ["2024-01-01 08:00:00", "2024-01-01 08:10:00"],
    })  # fmt: skip
    gates = pl.DataFrame({"KKMC": ["A", "D"], "LON": [117.0, 117.9], "LAT": [34.3, 34.3]})
    assert usual_rule(passes, gates, None) == set() and usual_rule(passes, gates, 200.0) == {"苏C12345"}
