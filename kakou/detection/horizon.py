"""The passes that a case is judged by, their times set right, and which of them contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kakou.detection.clocks import Clocks
from kakou.detection.knowledge import Knowledge
from kakou.detection.misreads import neighbours
from kakou.detection.reads import brand_of, value_of
from kakou.detection.rules import Rules
from kakou.detection.trips import SAME_READ_SECONDS

# Passes further apart than this tell nothing of each other.
NEAR_S: Final = 7200
# A clock that has changed by more than this is known to a part of the change.
_CHANGED_S, _DOUBT = 40.0, 0.12
# A plate with more passes is no vehicle but a reading error that repeats; the rest is not looked at.
MOST_LOOKS: Final = 1_000
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Row(NamedTuple):
    """A pass as it was stamped, in seconds of local time. Rows sort by (plate, time, id)."""

    hphm: str
    t: int
    gcxh: str
    kkmc: str
    hpzl: str
    clppxh: str


@dataclass(frozen=True)
class Look:
    """One pass of a case, its time set right; ``gate`` is the code of its gate, -1 of an unknown one."""

    row: Row
    gate: int
    t: float
    maker: str | None
    type: str | None


@dataclass(frozen=True)
class Shown:
    """What reads of a plate show of its vehicle: makers and plate types, with counts."""

    makes: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Shown) -> Shown:
        return Shown(self.makes + other.makes, self.types + other.types)

    def without(self, look: Look) -> Shown:
        """The same without one read."""
        return Shown(
            self.makes - Counter([look.maker] if look.maker else []),
            self.types - Counter([look.type] if look.type else []),
        )


@dataclass(frozen=True)
class Past:
    """What a history says of some plates; nothing, as it is made without one.

    Attributes:
        often: passes a day of those that were read more than once.
        shown: what their reads show.
        told: whether the history knows plates at all, so that one that it lacks is rare.
    """

    often: Mapping[str, float] = field(default_factory=dict)
    shown: Mapping[str, Shown] = field(default_factory=dict)
    told: bool = False

    def around(self, plates: Iterable[str]) -> Past:
        """Itself, as it holds all that is asked for."""
        return self


class History(Protocol):
    """What can be asked for single plates: a frame of passes (``past.py``), a file (``plate_file.py``)."""

    def around(self, plates: Iterable[str]) -> Past:
        """What is known of some whole plates, and of those that differ from one of them in one character."""
        ...


@dataclass(frozen=True)
class Context:
    """What passes are looked at with. Gates have the same codes in all of it."""

    rules: Rules
    knowledge: Knowledge
    clocks: Clocks
    past: Past = field(default_factory=Past)

    def changed(self, codes: Ints, stamped: Floats) -> Floats:
        """Seconds by which each clock differed from what it always is ahead; 0 where it hardly did."""
        off = np.abs(self.clocks.at(codes, stamped) - self.knowledge.constant[codes])
        return np.where(off > _CHANGED_S, off, 0.0)

    def contradictory(self, a: Ints, stamped_a: Floats, b: Ints, stamped_b: Floats) -> Flags:
        """Which pairs one vehicle cannot have made. Where a clock may just have jumped, both its times count.

        Args:
            a, b: codes of the gates.
            stamped_a, stamped_b: stamped times.
        """
        slack = _DOUBT * (self.changed(a, stamped_a) + self.changed(b, stamped_b))
        times = {
            which: tuple(
                stamped - self.clocks.at(gates, stamped, which)
                for gates, stamped in ((a, stamped_a), (b, stamped_b))
            )
            for which in (-1, 0, 1)
        }
        right = times[0]
        found: Flags = (a != b) & self._impossible(a, right[0], b, right[1], slack)
        for which in (-1, 1):
            around = times[which]
            for one, other in (around[0], right[1]), (right[0], around[1]), around:
                if not found.any():
                    return found
                found &= self._impossible(a, one, b, other, slack)
        return found

    def _impossible(self, a: Ints, time_a: Floats, b: Ints, time_b: Floats, slack: Floats) -> Flags:
        least = self.rules.least
        way = np.where(time_a <= time_b, least[a, b], least[b, a])
        return np.asarray(np.abs(time_b - time_a) + slack < way)


class Passes:
    """The passes around a case: those of its plate, and those of the plates that differ in one character.

    Args:
        rows: each id of a plate once, in any order.
    """

    def __init__(self, rows: Iterable[Row], context: Context) -> None:
        self.context = context
        self.seen = sorted(rows)
        self.code: Ints = np.array([context.rules.code.get(row.kkmc, -1) for row in self.seen], np.int64)
        self.stamped: Floats = np.array([row.t for row in self.seen], np.float64)
        self.t = self.stamped - context.clocks.at(self.code, self.stamped)
        self.rows: dict[str, tuple[int, int]] = {}
        start = 0
        for at in range(1, len(self.seen) + 1):
            if at == len(self.seen) or self.seen[at].hphm != self.seen[start].hphm:
                self.rows[self.seen[start].hphm] = (start, at)
                start = at

    def looks(self, plate: str) -> list[Look]:
        """Passes of a plate by time, those that a gate read twice taken once."""
        low, high = self.rows[plate]
        order = sorted(range(low, high), key=lambda row: (self.t[row], row))
        found: list[Look] = []
        for at in order:
            look = self.look(at)
            again = any(o.gate == look.gate and look.t - o.t <= SAME_READ_SECONDS for o in found[-3:])
            if look.gate >= 0 and not again:
                found.append(look)
        return found

    def look(self, at: int) -> Look:
        """The pass at a place of ``seen``."""
        row = self.seen[at]
        return Look(row, int(self.code[at]), float(self.t[at]), brand_of(row.clppxh), value_of(row.hpzl))

    def shown(self, plate: str) -> Shown:
        """What the passes of a plate show."""
        low, high = self.rows.get(plate, (0, 0))
        rows = self.seen[low:high]
        makes, types = (brand_of(row.clppxh) for row in rows), (value_of(row.hpzl) for row in rows)
        return Shown(Counter(filter(None, makes)), Counter(filter(None, types)))

    def neighbours(self, plate: str) -> list[str]:
        """Plates that differ in one character and were seen, here or in the past; sorted."""
        often = self.context.past.often
        return sorted(one for one in neighbours(plate) if one in self.rows or one in often)


def pairs_near(passes: Passes, looks: list[Look]) -> list[tuple[int, int]]:
    """Which of the looks, by time, contradict each other: pairs of their indices, the earlier first."""
    t = np.array([look.t for look in looks])
    i, j = np.triu_indices(len(looks), 1)
    near = t[j] - t[i] < NEAR_S
    i, j = i[near], j[near]
    gates = np.array([look.gate for look in looks], dtype=np.int64)
    stamped = np.array([look.row.t for look in looks], dtype=np.float64)
    hit = passes.context.contradictory(gates[i], stamped[i], gates[j], stamped[j])
    return [(int(a), int(b)) for a, b in zip(i[hit], j[hit], strict=True)]
