"""What makes a contradiction weigh less: near misses, clocks that change, and many of them at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from kakou.detection.crowds import Crowd
from kakou.detection.horizon import Context, Look, Passes

# What all passes in crowds together still weigh: a clock that is wrong is wrong for all of them.
CROWDED: Final = 2.0
# Log-odds of a pass that is only just impossible, and how they grow with what is lacking; the noise of a
# stamp; what is doubtful of a change.
_JUST, _STEEP, _NOISE_S, _CHANGE_DOUBT = 1.5, 25.0, 15.0, 0.25
# What one pass weighs at most, in either direction.
MOST: Final = 12.0


def strength_of(
    passes: Passes, plate: str, looks: list[Look], edges: list[tuple[int, int]], crowd: Crowd
) -> tuple[float, bool]:
    """The most that a pass can weigh: little where its trips are only just too fast, as somebody is the
    fastest, where a clock that changed leaves doubt, and where many plates contradict themselves at once.

    Args:
        edges: its contradictions, as pairs of indices of ``looks``.

    Returns:
        the weight, and whether it is that of a crowd, since nothing outside of one says as much.
    """
    most, in_crowd = 0.0, False
    for edge in edges:
        a, b = (looks[one] for one in edge)
        doubt = _NOISE_S + sum(_doubt(passes.context, one) for one in (a, b))
        share = (b.t - a.t + doubt) / float(passes.context.rules.least[a.gate, b.gate])
        weight = _JUST + _STEEP * max(0.0, 1 - share)
        crowded = any(crowd.around(one, plate) for one in (a, b))
        most, in_crowd = max((most, in_crowd), (min(weight, CROWDED) if crowded else weight, crowded))
    return min(MOST, most), in_crowd


def _doubt(context: Context, look: Look) -> float:
    """Seconds by which the time of a pass may be off: more where its clock changed, and while it does."""
    gate, stamped = np.array([look.gate]), np.array([float(look.row.t)])
    before, after = (float(context.clocks.at(gate, stamped, which)[0]) for which in (-1, 1))
    changed = float(context.changed(gate, stamped)[0])
    doubt = float(context.clocks.doubt_at(gate, stamped)[0])
    return doubt + _CHANGE_DOUBT * (changed + abs(after - before))
