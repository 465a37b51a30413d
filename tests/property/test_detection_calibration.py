"""Reviews move the weights as far as they know better, and no further."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kakou.detection.calibration import PRIORS, TRUSTS, Reviewed, calibrate
from kakou.detection.weighing import USUAL, Weighing

CASES = st.lists(st.builds(Reviewed, st.floats(-60, 60), st.booleans()), min_size=1, max_size=40)
# The fit ends this close to its lowest point.
CLOSE = 1e-5


def calibrated(reviewed: list[Reviewed]) -> Weighing:
    return USUAL.calibrated(calibrate(reviewed, USUAL))


def sum_of(confidence: float) -> float:
    """The sum of weights that has this confidence without reviews."""
    return (float(np.log(confidence / (1 - confidence))) - USUAL.before) / USUAL.trust


def world(true: Weighing, n: int, seed: int) -> list[Reviewed]:
    """Reviewed cases that were called cloned; clones among them are as likely as ``true`` says."""
    dice = np.random.default_rng(seed)
    sums = dice.uniform(sum_of(0.5), 20, n)
    return [Reviewed(float(one), bool(dice.random() < true.probability([one]))) for one in sums]


def calibration_error(weighing: Weighing, cases: list[Reviewed]) -> float:
    """Expected calibration error over ten bins of confidence."""
    said = np.array([weighing.probability([one.sum]) for one in cases])
    was = np.array([one.confirmed for one in cases])
    at = np.minimum((said * 10).astype(int), 9)
    bins = [at == one for one in range(10)]
    return float(sum(abs(said[one].mean() - was[one].mean()) * one.mean() for one in bins if one.any()))


def test_without_reviews_nothing_is_said() -> None:
    assert calibrate([], USUAL) is None


@settings(max_examples=60, deadline=None)
@given(CASES, st.randoms())
def test_the_order_of_reviews_does_not_count_to_the_last_bit(cases: list[Reviewed], dice) -> None:
    other = list(cases)
    dice.shuffle(other)
    assert calibrate(cases, USUAL) == calibrate(other, USUAL)


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_it_stays_where_a_rule_could_be(cases: list[Reviewed]) -> None:
    found = calibrate(cases, USUAL)
    assert found is not None
    assert PRIORS[0] * (1 - CLOSE) <= found.prior <= PRIORS[1] * (1 + CLOSE)
    assert TRUSTS[0] <= found.trust <= TRUSTS[1]


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(0), st.floats(-20, 20), st.floats(0, 20))
def test_more_confirmed_is_likelier_and_more_weight_is_likelier(
    cases: list[Reviewed], which: int, at: float, more: float
) -> None:
    which %= len(cases)
    sure, unsure = list(cases), list(cases)
    sure[which], unsure[which] = (Reviewed(cases[which].sum, one) for one in (True, False))
    # Inside what counts in full: a sum beyond it moves the weights as if it lay at its end.
    low, high = sum_of(0.005), sum_of(0.995)
    place = min(max(cases[which].sum, low), high)
    surer, less = calibrated(sure), calibrated(unsure)
    assert surer.probability([place]) >= less.probability([place]) - CLOSE
    assert surer.probability([at + more]) >= surer.probability([at])


@pytest.mark.parametrize(("n", "off"), [(20, 0.2), (200, 0.12), (2000, 0.06)])
def test_reviews_that_say_what_was_said_hardly_move_anything(n: int, off: float) -> None:
    for seed in range(5):
        found = calibrated(world(USUAL, n, seed))
        for confidence in (0.6, 0.9):
            assert found.probability([sum_of(confidence)]) == pytest.approx(confidence, abs=off)


def test_one_review_hardly_counts_and_many_do() -> None:
    wrong = Reviewed(sum_of(0.9), False)
    after = [calibrated([wrong] * n).probability([wrong.sum]) for n in (1, 5, 8, 200)]
    assert after == sorted(after, reverse=True)
    assert after[0] > 0.8 and after[1] > 0.5 > after[2] and after[3] < 0.05


def test_a_false_one_that_was_quite_sure_draws_no_further_than_one_at_the_end() -> None:
    right = [Reviewed(40.0, True)] * 99
    ends = [calibrated([*right, Reviewed(at, False)]) for at in (sum_of(0.9951), 40.0, 4000.0)]
    assert ends[0] == ends[1] == ends[2]
    assert ends[0].probability([sum_of(0.9)]) > 0.8


@pytest.mark.parametrize(
    "true", [Weighing(prior=0.0002, trust=0.7), Weighing(trust=0.6), Weighing(prior=0.005, trust=0.95)]
)
def test_what_is_said_comes_nearer_to_what_is(true: Weighing) -> None:
    for seed in range(3):
        judged = world(true, 3000, 100 + seed)
        before = calibration_error(USUAL, judged)
        after = [calibration_error(calibrated(world(true, n, seed)), judged) for n in (50, 400)]
        assert after[0] < 0.8 * before and after[1] < 0.4 * before, (before, after)
