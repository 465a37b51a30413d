"""What can be said of an alert, and how sure a share of few is."""

from __future__ import annotations

import pytest

from kakou.detection.calibration import weight_sum
from kakou.detection.precision import precision_of
from kakou.detection.reviews import NOTE_MAX, REASONS, REVIEWER_MAX, Review, fault_of


@pytest.mark.parametrize("reason", REASONS)
def test_false_has_each_of_the_reasons(reason: str) -> None:
    assert fault_of(Review("false", reason, "看过照片\r\n8 for B", "li")) is None


@pytest.mark.parametrize(
    ("review", "said"),
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
def test_what_does_not_fit_is_said_in_words(review: Review, said: str) -> None:
    assert said in (fault_of(review) or "")


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
    assert weight_sum(body(impossible_travel=3.1, clock=0.0)) is None
