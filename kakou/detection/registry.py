"""Which gates of the registry are not where it says: their geometry is not used."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

FEWEST_TRIPS: Final = 10
# Nobody's usual trip is faster than this in a straight line.
FASTEST_KMH: Final = 150.0
# One pair may be a learned time gone wrong; a wrong place shows in several.
FEWEST_PAIRS: Final = 2


def misplaced(
    distance_km: npt.NDArray[np.float64], usual: npt.NDArray[np.float64], trips: npt.NDArray[np.int64]
) -> list[int]:
    """Gates whose coordinates contradict the passes, worst first.

    A gate is taken out when at least ``FEWEST_PAIRS`` pairs with it would be driven faster than anybody
    drives, and more than with any other; then the rest is looked at without it.

    Args:
        distance_km: in a straight line by (from, to) code, NaN where a place is not known.
        usual: median seconds of the trips.
        trips: how many there are.

    Returns:
        codes.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = distance_km / usual * 3600
    wrong = np.isfinite(speed) & (speed > FASTEST_KMH) & (trips >= FEWEST_TRIPS)
    found: list[int] = []
    while True:
        pairs = wrong.sum(axis=0) + wrong.sum(axis=1)
        worst = int(np.argmax(pairs)) if len(pairs) else 0
        if not len(pairs) or pairs[worst] < FEWEST_PAIRS:
            return found
        found.append(worst)
        wrong[worst, :] = wrong[:, worst] = False
