"""How many of the called plates people confirmed, with how far off that may be."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Of a normal distribution 90 % lie within so many spreads.
_Z_90: Final = 1.6448536269514722


@dataclass(frozen=True)
class Precision:
    """Of what was called and reviewed: how many were confirmed, and how many were false."""

    confirmed: int
    false: int

    @property
    def share(self) -> float | None:
        """Confirmed ones among all; None where nothing was reviewed."""
        total = self.confirmed + self.false
        return self.confirmed / total if total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 90 % interval of the share (E. B. Wilson, 1927); None where nothing was reviewed.

        >>> [round(bound, 3) for bound in Precision(9, 1).interval]
        [0.652, 0.977]
        """
        share, total = self.share, self.confirmed + self.false
        if share is None:
            return None
        square = _Z_90**2
        middle = (share + square / (2 * total)) / (1 + square / total)
        half = _Z_90 / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
        return max(0.0, middle - half), min(1.0, middle + half)


def precision_of(confirmed: Iterable[bool]) -> Precision:
    """Of alerts by whether they were confirmed.

    >>> precision_of([True, False, True])
    Precision(confirmed=2, false=1)
    """
    said = list(confirmed)
    return Precision(sum(said), len(said) - sum(said))
