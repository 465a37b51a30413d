"""Keeps a replay honest: no plate appears at a second gate sooner than its vehicle really took.

Real traffic is about 0.14 passes a second. Replayed at 50 a second each honest trip would shrink 360-fold
and look like a clone. So a row whose vehicle cannot be there yet waits until it can, and others fill its
place::

    history   A 07:00 ──────────── 52 min ───────────▶ B 07:52
    replay    A emitted 14:03:10 ── at least 52 min ──▶ B emitted 14:55:10 or later

A pure rule: the time comes with each call, nothing here reads a clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

# Detection compares passes up to 2 h apart and waits 30 min for late ones; what is older cannot contradict
# anything.
WINDOW_SECONDS: Final = 9000


class SourceRow(NamedTuple):
    """One observed pass of the history; ``t`` in whole seconds of local time."""

    t: int
    xzqhmc: str
    kkmc: str
    fxlx: str
    hpzl: str
    hphm: str
    clppxh: str
    province: str
    vehicle_type_name: str


@dataclass(slots=True)
class LastSeen:
    """Where and when a plate was last emitted; ``t`` is the history's time of that row, None if that is not
    known."""

    gate: str
    at: float
    t: int | None
    times: int = 1


Decision = Literal["emit", "hold", "skip"]


class Pacer:
    """Remembers every plate of the last ``WINDOW_SECONDS`` and says which row may be emitted now."""

    def __init__(self) -> None:
        self._seen: dict[str, LastSeen] = {}
        self._burned: dict[str, float] = {}
        self._held: list[tuple[float, int, SourceRow]] = []
        self._holding: set[str] = set()
        self._ticket = 0

    def decide(self, row: SourceRow, now: float, *, patient: bool = True) -> Decision:
        """What to do with the next row of the history.

        Args:
            patient: False if no other row is left to fill the rate; then a plate with a held trip may be
                seen again at the gate where it is.

        Returns:
            ``emit`` it now, ``hold`` it (``due`` hands it out when its vehicle has arrived) or ``skip`` it.
        """
        plate = row.hphm
        if self._burned.get(plate, 0) > now:
            return "skip"
        last = self._seen.get(plate)
        if last is None or now - last.at >= WINDOW_SECONDS:
            return "skip" if plate in self._holding else "emit"
        if plate in self._holding:
            return "emit" if row.kkmc == last.gate and not patient else "skip"
        wait = self._wait(last, row)
        if now - last.at >= wait:
            return "emit"
        if wait < WINDOW_SECONDS:
            self._hold(row, last.at + wait)
            return "hold"
        return "skip"

    def due(self, now: float) -> SourceRow | None:
        """A held row whose vehicle has arrived by now, if there is one."""
        while self._held and self._held[0][0] <= now:
            row = heapq.heappop(self._held)[2]
            self._holding.discard(row.hphm)
            if self._burned.get(row.hphm, 0) > now:
                continue
            last = self._seen.get(row.hphm)
            if last is None or now - last.at >= self._wait(last, row):
                return row
            self._hold(row, last.at + self._wait(last, row))
        return None

    def emitted(self, plate: str, gate: str, at: float, t: int | None) -> None:
        """Notes that a pass of ``plate`` was written."""
        last = self._seen.get(plate)
        times = last.times + 1 if last and at - last.at < WINDOW_SECONDS else 1
        self._seen[plate] = LastSeen(gate, at, t, times)

    def restore(self, plate: str, last: LastSeen) -> None:
        """Puts back what an earlier run remembered."""
        self._seen[plate] = last

    def burn(self, plate: str, until: float) -> None:
        """Keeps a plate out of the honest traffic: a clone of it was planted."""
        self._burned[plate] = until

    def last_seen(self, plate: str) -> LastSeen | None:
        """Where the plate was last, if it was emitted in the window."""
        return self._seen.get(plate)

    def forget_before(self, now: float) -> None:
        """Drops what is too old to matter, so that memory stays bounded."""
        old = now - WINDOW_SECONDS
        self._seen = {plate: last for plate, last in self._seen.items() if last.at > old}
        self._burned = {plate: until for plate, until in self._burned.items() if until > now}

    def plates(self) -> Iterator[tuple[str, LastSeen]]:
        """All plates of the window, for the saved state."""
        return iter(self._seen.items())

    def burned(self) -> dict[str, float]:
        """Plates that are kept out, and until when."""
        return dict(self._burned)

    @staticmethod
    def _wait(last: LastSeen, row: SourceRow) -> float:
        """Seconds that must lie between the last pass and this one."""
        if row.kkmc == last.gate:
            return 0
        gap = row.t - last.t if last.t is not None else 0
        # The history began anew, or nobody knows where in it the last pass was: then only the window is safe.
        return min(gap, WINDOW_SECONDS) if gap > 0 else WINDOW_SECONDS

    def _hold(self, row: SourceRow, until: float) -> None:
        self._ticket += 1
        heapq.heappush(self._held, (until, self._ticket, row))
        self._holding.add(row.hphm)
