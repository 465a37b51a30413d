"""How far two clocks are apart, from all passes of vehicles that drove by both, one way or the other.

Seconds from a pass at one gate to that at the other, negative where the other was first, heap up in two
places: the travel time there, and that back. With right clocks they lie on both sides of zero, as far from
it; where one clock is ahead both are moved alike. So their middle says how far, whoever was first.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.trips import NEAR_SECONDS, pairs_near

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LAGS: Final = 10
_BIN_S, _WIDTH = 10, 4
_FEWEST, _FEWEST_IN_HEAP = 16, 6.0
# The smaller heap against the larger one, and anything else against the smaller one.
_BALANCED, _ELSE = 0.3, 0.6
# Share of all that the smaller heap has at least, and what is between the heaps against it, at most.
_MOST, _VALLEY = 0.12, 0.15
# Half of what is between two heaps is the travel time; drivers differ by about a tenth of it.
_DIFFER, _FINE_S = 0.1, 5.0


class Apart(NamedTuple):
    """For each pair of gates: codes, seconds that the second is ahead of the first, and their doubt."""

    a: Ints
    b: Ints
    seconds: Floats
    doubt: Floats


def clocks_apart(whole: pl.DataFrame) -> Apart:
    """Pairs whose passes heap up in two places; ``whole`` is ``hphm``, ``code``, ``t`` by (plate, time)."""
    pair, gap = _gaps(whole)
    order = np.argsort(pair, kind="stable")
    pair, gap = pair[order], gap[order]
    pairs, starts, counts = np.unique(pair, return_index=True, return_counts=True)
    found = []
    for one, start, count in zip(pairs, starts, counts, strict=True):
        if count >= _FEWEST:
            heaps = _two_heaps(gap[start : start + count])
            if heaps is not None:
                found.append((one >> 32, one & 0xFFFFFFFF, *heaps))
    a, b, seconds, doubt = (np.array(one) for one in zip(*found, strict=True)) if found else [np.empty(0)] * 4
    return Apart(a.astype(np.int64), b.astype(np.int64), seconds, doubt)


def _gaps(whole: pl.DataFrame) -> tuple[Ints, Ints]:
    """Pairs of gates, the lower code first and in the upper half, and seconds from that gate to the other."""
    code, t = whole["code"].to_numpy().astype(np.int64), whole["t"].to_numpy().astype(np.int64)
    pairs, gaps = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for one, other in pairs_near(whole, _LAGS):
        first, second, gap = code[one], code[other], t[other] - t[one]
        turned = first > second
        pairs.append((np.where(turned, second, first) << 32) | np.where(turned, first, second))
        gaps.append(np.where(turned, -gap, gap))
    return np.concatenate(pairs), np.concatenate(gaps)


def _two_heaps(gap: Ints) -> tuple[float, float] | None:
    """The middle between the two heaps and its doubt; None where there are not just two."""
    bins = np.bincount(
        np.rint((gap + NEAR_SECONDS) / _BIN_S).astype(np.int64), minlength=2 * NEAR_SECONDS // _BIN_S + 1
    )
    wide = np.convolve(bins, np.ones(2 * _WIDTH + 1), "same")
    left = wide.copy()
    sizes, tops = [], []
    for _ in range(3):
        top = int(left.argmax())
        sizes.append(float(left[top]))
        tops.append(top)
        left[max(0, top - 2 * _WIDTH - 1) : top + 2 * _WIDTH + 2] = 0
    if sizes[1] < max(_FEWEST_IN_HEAP, _BALANCED * sizes[0], _MOST * len(gap)) or sizes[2] > _ELSE * sizes[1]:
        return None
    # One heap of vehicles that differ much is no two heaps.
    if wide[min(tops[:2]) : max(tops[:2])].min() > _VALLEY * sizes[1]:
        return None
    one, other = (
        float(np.median(gap[np.abs(gap - (at * _BIN_S - NEAR_SECONDS)) <= _WIDTH * _BIN_S]))
        for at in tops[:2]
    )
    return (one + other) / 2, (_DIFFER * abs(one - other) / 2 + _FINE_S) / float(np.sqrt(sizes[1]))
