"""Which passes belong to an episode of a case: those around its contradictions, and nothing else.

::

        CONTEXT_S          <= APART_S           CONTEXT_S
    ├───────────────┼─────────────────────┼───────────────┤     passes of the plate
    ┌───────────────┴ contradictions ─────┴───────────────┐
 ───┤ PRESENCE_S                               PRESENCE_S ├───  passes of its neighbours
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from kakou.detection.horizon import NEAR_S, Row
from kakou.detection.misreads import neighbours

# What a plate showed and where it was so long before and after tells whose a pass is.
CONTEXT_S: Final = 2 * NEAR_S
# Contradictions further apart belong to two episodes: no pass is near both.
APART_S: Final = 2 * CONTEXT_S
# How long before or after a pass a neighbour must have been seen to be under way there.
PRESENCE_S: Final = 3600
RowsOf = Callable[[str, int, int], Iterable[Row]]


def episodes_of(times: Iterable[int]) -> list[tuple[int, int]]:
    """First and last contradiction of each episode, by time.

    Args:
        times: stamped times of the later pass of each contradiction.

    >>> episodes_of([40_000, 0, 28_800, 80_000])
    [(0, 40000), (80000, 80000)]
    """
    found: list[tuple[int, int]] = []
    for time in sorted(times):
        if found and time - found[-1][1] <= APART_S:
            found[-1] = found[-1][0], time
        else:
            found.append((time, time))
    return found


def rows_from(rows: Iterable[Row]) -> RowsOf:
    """Gives passes out of these."""
    by_plate: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_plate[row.hphm].append(row)
    return lambda plate, low, high: [row for row in by_plate.get(plate, ()) if low <= row.t <= high]


def rows_around(plate: str, episode: tuple[int, int], rows_of: RowsOf) -> list[Row]:
    """The passes of an episode.

    Args:
        rows_of: gives the passes of a plate stamped from one time to another, both included.
    """
    low, high = episode[0] - CONTEXT_S, episode[1] + CONTEXT_S
    found = list(rows_of(plate, low, high))
    for other in neighbours(plate):
        found += rows_of(other, low - PRESENCE_S, high + PRESENCE_S)
    return found
