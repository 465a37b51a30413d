"""How reasons are weighed against each other: what a person, or what reviews say, may change."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

_MOST_LOG_ODDS: Final = 30.0


@dataclass(frozen=True)
class Calibration:
    """What reviews say of the weights; as the fields of ``Weighing`` of the same names."""

    prior: float
    trust: float


@dataclass(frozen=True)
class Weighing:
    """From reasons to a probability that two vehicles drive under a plate.

    Attributes:
        version: names the rule; its alerts and cases carry it.
        prior: share of plates that two vehicles drive under on a day, before anything is seen.
        trust: reasons are not as independent as their sum would have it, and no likelihood is quite right:
            together they count for so much of their sum.
        call_at: a plate is called cloned from this probability on.
        fixed: whether reviews leave ``prior`` and ``trust`` as they are.
    """

    version: str = "cases-1"
    prior: float = 0.001
    trust: float = 0.8
    call_at: float = 0.5
    fixed: bool = False

    @property
    def before(self) -> float:
        """Log-odds of ``prior``."""
        return math.log(self.prior / (1 - self.prior))

    def probability(self, weights: Iterable[float]) -> float:
        """How likely two vehicles are, by log-odds of single reasons."""
        log_odds = self.before + self.trust * sum(weights)
        return 1 / (1 + math.exp(-max(-_MOST_LOG_ODDS, min(_MOST_LOG_ODDS, log_odds))))

    def calibrated(self, by: Calibration | None) -> Weighing:
        """The same as reviews would have it."""
        if by is None or self.fixed:
            return self
        return replace(self, prior=by.prior, trust=by.trust)


USUAL: Final = Weighing()
