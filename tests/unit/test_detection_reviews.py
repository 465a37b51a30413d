"""What can be said of an alert, and how sure a share of few is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from kakou.detection.calibration import weight_sum
from kakou.detection.case_steps import cases_of
from kakou.detection.precision import precision_of
from kakou.detection.reviews import (
    NOTE_MAX,
    REASONS,
    REVIEWER_MAX,
    Review,
    StoredReview,
    StoredStep,
    fault_of,
    reviewed_cases,
)
from spark_jobs.tonights_reviews import said_by

AT = datetime(2024, 1, 15, 8)
CONFIRMED, FALSE = Review("confirmed", None, "", "li"), Review("false", "clock", "", "wang")


def step(alert: str, number: int, day: int, case: str = "c1", verdict: str = "cloned_plate") -> StoredStep:
    at = AT + timedelta(days=day)
    return StoredStep(alert, case, number, "苏C00001", verdict, 0.9, at, at)


def said(number: int, alert: str, review: Review) -> StoredReview:
    return StoredReview(number, alert, review, AT)


@pytest.mark.parametrize("reason", REASONS)
def test_false_has_each_of_the_reasons(reason: str) -> None:
    assert fault_of(Review("false", reason, "看过照片\r\n8 for B", "li")) is None


@pytest.mark.parametrize(
    ("review", "words"),
    [
        (Review("confirmed", "other", "", "li"), "has no reason"),
        (Review("false", None, "", "li"), "needs a reason: misread, clock, same_owner or other"),
        (Review("false", "weather", "", "li"), "'weather' is no reason"),
        (Review("maybe", None, "", "li"), "'maybe' is no outcome"),
        (Review("confirmed", None, "x" * (NOTE_MAX + 1), "li"), "may have 500"),
        (Review("confirmed", None, "", " "), "1 to 64"),
        (Review("confirmed", None, "", "x" * (REVIEWER_MAX + 1)), "1 to 64"),
        (Review("confirmed", None, "\x1b[2J", "li"), "printable"),
        (Review("confirmed", None, "", "l\ni"), "printable"),
    ],
)
def test_what_does_not_fit_is_said_in_words(review: Review, words: str) -> None:
    assert words in (fault_of(review) or "")


def test_an_interval_holds_its_share_and_narrows() -> None:
    assert precision_of([]).share is None and precision_of([]).interval is None
    few, many = precision_of([True] * 4 + [False]), precision_of(([True] * 4 + [False]) * 100)
    assert few.share == many.share == 0.8
    assert few.interval and many.interval
    (few_low, few_high), (many_low, many_high) = few.interval, many.interval
    assert few_low < many_low < 0.8 < many_high < few_high
    assert precision_of([True] * 10).interval == (pytest.approx(0.787, abs=0.001), 1.0)


def test_the_sum_of_an_alert_is_that_of_its_weighed_reasons() -> None:
    def body(**weights: float) -> dict[str, object]:
        return {"evidence": [{"kind": kind, "weight": weight} for kind, weight in weights.items()]}

    assert weight_sum(body(impossible_travel=0.0, other_vehicle=9.25)) == 9.25
    assert weight_sum(body(other_vehicle=9.25, second_track=2.5, second_make=-0.5, neighbour=0.0)) == 11.25
    assert weight_sum(body(other_vehicle=9.25, makes_before=3.0)) == 12.25
    assert weight_sum(body(impossible_travel=3.1, clock=0.0)) is None


def test_a_later_case_of_the_plate_has_steps_of_its_own() -> None:
    """
    case id c1   [a1 a2]      [b1 b2]
    case id c2      [x1]
    """
    every = [step("a1", 1, 0), step("a2", 2, 1), step("b1", 1, 3), step("b2", 2, 4), step("x1", 1, 1, "c2")]
    dice = np.random.default_rng(7)
    for _ in range(5):
        mixed = [every[at] for at in dice.permutation(len(every))]
        assert [[one.alert_id for one in case] for case in cases_of(mixed)] == [
            ["a1", "a2"], ["b1", "b2"], ["x1"],
        ]  # fmt: skip
    assert cases_of([]) == []


def test_a_case_counts_once_by_what_was_said_last_of_any_of_its_alerts() -> None:
    steps = [step("a1", 1, 0), step("a2", 2, 1), step("b1", 1, 3), step("x1", 1, 1, "c2")]
    reviews = [
        said(1, "a2", CONFIRMED),
        said(2, "x1", CONFIRMED),
        said(4, "a1", FALSE),  # an older alert, and yet the last word
        said(3, "a1", CONFIRMED),
        said(5, "gone", FALSE),
    ]

    found = reviewed_cases(steps, reviews)

    assert [(one.last.alert_id, one.confirmed, one.review.id) for one in found] == [
        ("a2", False, 4), ("x1", True, 2),
    ]  # fmt: skip
    assert reviewed_cases(steps, []) == [] == reviewed_cases([], reviews)


def test_the_night_takes_each_case_once_with_what_it_says_in_the_end() -> None:
    def body(weight: float | None) -> str:
        reasons = [{"kind": "clock", "weight": 0.0}] if weight is None else [_other(weight)]
        return json.dumps({"evidence": reasons})

    called = [step("a1", 1, 0, verdict="undecided"), step("a2", 2, 1)]
    taken_back = [step("b1", 1, 0, "c2"), step("b2", 2, 1, "c2", "clock_fault")]
    reviews = [said(1, "a1", CONFIRMED), said(2, "a2", CONFIRMED), said(3, "b1", FALSE)]
    bodies = {"a2": body(11.0), "b2": body(None)}

    night = said_by(reviewed_cases(called + taken_back, reviews), bodies)

    # What was taken back by clocks has no weights any more, and is no call.
    assert (night.reviews, night.weighed, night.precision) == (2, 1, 1.0)
    once = said_by(reviewed_cases(called, reviews[:1]), bodies)
    assert night.calibration == once.calibration is not None
    owner = replace(FALSE, reason="same_owner")
    assert said_by(reviewed_cases(called, [said(1, "a1", owner)]), bodies).calibration is None


def _other(weight: float) -> dict[str, object]:
    return {"kind": "other_vehicle", "weight": weight}
