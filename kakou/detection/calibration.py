"""How reasons are to be weighed by what reviews say: the prior and the trust of ``weighing.Weighing``.

The probability of a case is the logistic function of ``before(prior) + trust * sum of weights``. So reviewed
cases fit both numbers by a logistic regression of one variable. It is held to the usual numbers by a normal
distribution around them: the most likely pair after the reviews (MAP), not the one that fits them best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from kakou.detection.weighing import Calibration, Weighing

# Standard deviations around the usual numbers: a prior twice or half as large is nothing special, and at a
# confidence of 0.9 both together weigh as much as about a dozen reviews (decision 0013).
SPREAD_BEFORE: Final = 0.7
SPREAD_TRUST: Final = 0.05
PRIORS: Final = (1e-5, 0.05)
TRUSTS: Final = (0.3, 1.0)
# A case that is surer than this and false after all was false for a reason that no weight knows of, such as
# a plate that its owner moved to another car. It must not draw all others as far as it lies away.
SUREST: Final = 0.995
_WEIGHED: Final = frozenset({"other_vehicle", "crowd", "second_track", "second_make", "makes_before"})
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True, slots=True)
class Reviewed:
    """A reviewed case: the sum of its weights before anything is calibrated, and whether it was a clone."""

    sum: float
    confirmed: bool


def weight_sum(alert: Mapping[str, Any]) -> float | None:
    """The sum of weights behind an alert, from its JSON object, to the third digit.

    None where it has none: clocks explained everything, or it was made by other rules.
    """
    weights = {one["kind"]: float(one["weight"]) for one in alert["evidence"] if one["kind"] in _WEIGHED}
    return sum(weights.values()) if "other_vehicle" in weights else None


def calibrate(reviewed: Sequence[Reviewed], usual: Weighing) -> Calibration | None:
    """The prior and the trust that reviews and the usual ones together make most likely.

    The same for any order of the reviews, to the last bit.

    Args:
        usual: what holds without reviews.

    Returns:
        within ``PRIORS`` and ``TRUSTS``; None without reviews.
    """
    if not reviewed:
        return None
    # What is added up in another order is another number.
    cases = sorted(reviewed)
    low, high = (_sum_at(chance, usual) for chance in (1 - SUREST, SUREST))
    sums = np.clip([one.sum for one in cases], low, high)
    signs = np.where([one.confirmed for one in cases], 1.0, -1.0)
    usually = np.array([usual.before, usual.trust])
    spread = np.array([SPREAD_BEFORE, SPREAD_TRUST])

    def surprise(moved: Floats) -> tuple[float, Floats]:
        """How unlikely all that is, as a negative logarithm, and its gradient; in spreads from the usual."""
        before, trust = usually + spread * moved
        margin = signs * (before + trust * sums)
        pull = -signs * np.exp(-np.logaddexp(0.0, margin))
        gradient = np.array([pull.sum(), (pull * sums).sum()]) * spread + moved
        return float(np.logaddexp(0.0, -margin).sum() + moved @ moved / 2), gradient

    ends = np.array([[_log_odds(one) for one in PRIORS], TRUSTS])
    bounds = (ends - usually[:, None]) / spread[:, None]
    start = np.clip(np.zeros(2), bounds[:, 0], bounds[:, 1])
    # Convex, and strictly so, with one lowest point.
    found = minimize(
        surprise, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 0.0, "gtol": 1e-9}
    )
    before, trust = usually + spread * found.x
    return Calibration(prior=1 / (1 + math.exp(-float(before))), trust=float(trust))


def _log_odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def _sum_at(chance: float, weighing: Weighing) -> float:
    """The sum of weights at which a case is so likely."""
    return (_log_odds(chance) - weighing.before) / weighing.trust
