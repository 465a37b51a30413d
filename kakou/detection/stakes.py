"""Stake marks of a road: how far two gates are apart by road, and who contradicts that."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

# Most stakes are whole kilometres, and places are off by a kilometre or two each.
TOLERANCE_KM: Final = 5.0
# Where two roads share their way one of them may not be counted, so stakes may be short by a part.
TOLERANCE_SHARE: Final = 0.1
# One pair does not tell which of its gates is wrong.
FEWEST_PAIRS: Final = 2
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# K12, K12+300, ZK12+300 and YK12+300 (carriageways), K12.3; 12K+300M. Ramps (AK0+300) count by themselves.
_MARK: Final = re.compile(r"[ZY]?K(\d{1,5})(?:\.(\d{1,3})|\+(\d{1,4}(?:\.\d+)?)M?)?")
_MARK_BEHIND: Final = re.compile(r"(\d{1,5})K(?:M?\+(\d{1,4}(?:\.\d+)?)M?)?")
_BARE: Final = re.compile(r"(\d{1,4}(?:\.\d+)?)(?:KM|公里|千米)?")
_NATIONAL: Final = re.compile(r"G\d+")
_PROVINCIAL: Final = re.compile(r"S\d+")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gates of a road, by index, that stand closer by their stakes than by their places.

    Attributes:
        a, b: gates, ``a < b``.
        road_km: by the stakes.
        straight_km: by the places.
    """

    a: int
    b: int
    road_km: float
    straight_km: float


def km_of_stake(mark: str) -> float | None:
    """Kilometres of a stake mark; None where it is none, or counts from elsewhere (a ramp).

    >>> [km_of_stake(one) for one in ("K63", "k12+300", "ＺＫ12＋300", "63K+100M", "K10.5", "873")]
    [63.0, 12.3, 12.3, 63.1, 10.5, 873.0]
    >>> [km_of_stake(one) for one in ("", "AK0+300", "K10-K12", "12300", "东侧")]
    [None, None, None, None, None]
    """
    text = re.sub(r"\s", "", unicodedata.normalize("NFKC", mark)).upper()
    if found := _MARK.fullmatch(text):
        km, part, metres = found.groups()
        return float(f"{km}.{part or 0}") + float(metres or 0) / 1000
    if found := _MARK_BEHIND.fullmatch(text):
        km, metres = found.groups()
        return float(km) + float(metres or 0) / 1000
    # A bare number with more digits may be metres.
    found = _BARE.fullmatch(text)
    return float(found.group(1)) if found else None


def road_of(name: str) -> str:
    """One text for the writings of a road that differ in width, case and blanks."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", name)).upper()


def shorter_than_straight(
    roads: Sequence[str], marks: Sequence[str], districts: Sequence[str], km: Floats
) -> tuple[dict[int, list[int]], list[Pair]]:
    """Gates and pairs of gates whose places contradict the stakes of their road.

    Two gates count from one beginning if they are of one road and one district, or the road has a national
    or provincial number (``G104``, ``S325``): other names and numbers are given anew in each district. A
    provincial road begins anew behind the border of its province, and nothing says in which one a gate is:
    between districts such a pair is left out itself, and blames no gate.

    Blamed are those that contradict more others than anybody else does, if they are fewer than half of the
    road's gates and each contradicts at least ``FEWEST_PAIRS`` of the rest. So where a road begins anew
    between two groups alike, none is.

    Args:
        roads, marks, districts: of each gate, empty where not known.
        km: straight lines, NaN where a place is not known.

    Returns:
        the gates to blame with those that they contradict; and the contradicting pairs without them.
    """
    blamed: dict[int, list[int]] = {}
    pairs: list[Pair] = []
    stakes = [km_of_stake(mark) for mark in marks]
    group: dict[str, list[int]] = {}
    for at, (road, stake) in enumerate(zip(roads, stakes, strict=True)):
        if road_of(road) and stake is not None:
            group.setdefault(road_of(road), []).append(at)
    for road, members in group.items():
        gates = np.array(members)
        mark = np.array([stakes[at] for at in members], dtype=float)
        district = np.array([districts[at] for at in members], dtype=object)
        by_road, straight = np.abs(mark[:, None] - mark[None, :]), km[np.ix_(gates, gates)]
        one_district = (district[:, None] == district[None, :]) & (district != "")[:, None]
        national = _NATIONAL.fullmatch(road) is not None
        one_count = one_district | (national or _PROVINCIAL.fullmatch(road) is not None)
        with np.errstate(invalid="ignore"):
            wrong = one_count & (straight > by_road * (1 + TOLERANCE_SHARE) + TOLERANCE_KM)
        for worst, others in _blamed(wrong & (one_district | national)).items():
            blamed[members[worst]] = [members[other] for other in others]
            wrong[worst, :] = wrong[:, worst] = False
        for a, b in zip(*np.nonzero(np.triu(wrong)), strict=True):
            pairs.append(Pair(members[a], members[b], float(by_road[a, b]), float(straight[a, b])))
    return blamed, pairs


def _blamed(wrong: Flags) -> dict[int, list[int]]:
    """Who contradicts most others, with those others; then who does among the rest."""
    found: dict[int, list[int]] = {}
    left = wrong.copy()
    while True:
        count = left.sum(axis=1)
        most = np.flatnonzero(count == count.max())
        # Among themselves two wrong ones are no witnesses.
        witnesses = np.delete(left[most], most, axis=1).sum(axis=1)
        if witnesses.min() < FEWEST_PAIRS or 2 * len(most) >= len(left):
            return found
        found |= {int(one): np.flatnonzero(left[one]).tolist() for one in most}
        left[most, :] = left[:, most] = False
