"""Which gates of the registry are not where it says: their geometry is not used.

Two looks: at the registry alone (country, district, stakes), which needs no pass and so tells of a gate that
is new; and at what passes say of the places that are left.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection import refusals
from kakou.detection.districts import far_from_others
from kakou.detection.refusals import Refusal
from kakou.detection.stakes import road_of, shorter_than_straight
from kakou.geography import great_circle_km, in_country

FEWEST_TRIPS: Final = 10
# Nobody's usual trip is faster than this in a straight line.
FASTEST_KMH: Final = 150.0
# One pair may be a learned time gone wrong; a wrong place shows in several.
FEWEST_PAIRS: Final = 2


def refused_by_registry(gates: pl.DataFrame) -> list[Refusal]:
    """Gates and pairs of gates of which the registry contradicts itself.

    A place outside the country, then one far from all others of its district, then stakes of one road that
    are closer than a straight line; what one look refused the next one does not see.

    Args:
        gates: columns ``kkmc``, ``lon``, ``lat``, one row for each gate; ``xzqhmc``, ``road`` and ``stake``
            may be missing, and any value but ``kkmc`` null.

    Returns:
        in this order; none is named twice.
    """
    names = gates["kkmc"].to_list()
    districts, roads, marks = (_texts(gates, name) for name in ("xzqhmc", "road", "stake"))
    lon, lat = (gates[name].cast(pl.Float64).fill_null(np.nan).to_numpy().copy() for name in ("lon", "lat"))
    found: list[Refusal] = []
    for at in np.flatnonzero(np.isfinite(lon + lat) & ~in_country(lon, lat)).tolist():
        exchanged = bool(in_country(lat[at], lon[at]))
        found.append(refusals.outside(names[at], float(lon[at]), float(lat[at]), exchanged=exchanged))
        lon[at] = lat[at] = np.nan
    km = great_circle_km(lon[:, None], lat[:, None], lon[None, :], lat[None, :])
    for far in far_from_others(districts, km):
        district = districts[far.gate]
        found.append(refusals.far_from_district(names[far.gate], district, names[far.nearest], far.km))
        km[far.gate, :] = km[:, far.gate] = np.nan
    blamed, pairs = shorter_than_straight(roads, marks, districts, km)
    for at, others in blamed.items():
        road = road_of(roads[at])
        found.append(refusals.against_stakes(names[at], road, [names[other] for other in others]))
    for one in pairs:
        a, b, road = names[one.a], names[one.b], road_of(roads[one.a])
        found.append(refusals.line_against_stakes(a, b, road, one.road_km, one.straight_km))
    return found


def _texts(gates: pl.DataFrame, name: str) -> list[str]:
    """A column of words, empty where it or a value is missing."""
    if name not in gates.columns:
        return [""] * len(gates)
    return gates[name].cast(pl.String).fill_null("").str.strip_chars().to_list()


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
