"""Gates of one district lie together: which of them lie elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kakou.fields import MISSING

# Of three gates nobody can say which one is wrong.
FEWEST_GATES: Final = 4
# Nearer than this to another gate of the district is near: about the diameter of a county.
FLOOR_KM: Final = 60.0
# In a wide district, or along an expressway, gates are far from each other: so many times the usual gap.
USUAL_GAPS: Final = 4.0
_ONE_PLACE_KM: Final = 1.0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Far:
    """A gate, by index, that lies far from the others: ``km`` from ``nearest``, the nearest one of them."""

    gate: int
    nearest: int
    km: float


def far_from_others(districts: Sequence[str], km: Floats) -> list[Far]:
    """Gates that lie far from all others of their district.

    Gates are chained by gaps of at most ``FLOOR_KM``, or ``USUAL_GAPS`` times the median distance from a gate
    to the next one. Who does not hang on the chain that most of the district hang on lies far. A chain, and
    not the distance from the middle: so the end of a long, thin county is not far, and two gates that were
    put to one wrong place do not vouch for each other.

    Args:
        districts: of each gate; empty or ``-`` where not known.
        km: straight lines by (gate, gate), NaN where a place is not known.

    Returns:
        farthest first; none of a district with fewer than ``FEWEST_GATES`` places, or without a chain that
        more than half of them hang on.
    """
    placed = np.isfinite(np.diagonal(km))
    members: dict[str, list[int]] = {}
    for at, district in enumerate(districts):
        if placed[at] and district not in ("", MISSING):
            members.setdefault(district, []).append(at)
    found = [
        far for gates in members.values() if len(gates) >= FEWEST_GATES for far in _far(np.array(gates), km)
    ]
    return sorted(found, key=lambda far: (-far.km, far.gate))


def _far(gates: npt.NDArray[np.int64], km: Floats) -> list[Far]:
    between = km[np.ix_(gates, gates)]
    next_one = np.where(between >= _ONE_PLACE_KM, between, np.inf).min(axis=1)
    if not np.isfinite(next_one).any():
        return []
    near = between <= max(FLOOR_KM, USUAL_GAPS * float(np.median(next_one)))
    chain = max((_hanging_on(near, start) for start in range(len(gates))), key=np.count_nonzero)
    if 2 * np.count_nonzero(chain) <= len(gates):
        return []
    others = np.flatnonzero(chain)
    far = []
    for at in np.flatnonzero(~chain):
        nearest = others[int(np.argmin(between[at, others]))]
        far.append(Far(int(gates[at]), int(gates[nearest]), float(between[at, nearest])))
    return far


def _hanging_on(near: npt.NDArray[np.bool_], start: int) -> npt.NDArray[np.bool_]:
    """Who is reached from ``start`` from one to the next."""
    reached: npt.NDArray[np.bool_] = np.zeros(len(near), dtype=bool)
    reached[start] = True
    while True:
        more = np.asarray(near[reached].any(axis=0))
        if (more == reached).all():
            return reached
        reached = more
