"""The rule of every peer, in plain Python: two passes of one plate that one vehicle cannot have made.

It knows what ``kakou.detection.contradictions`` knows of this traffic, and finds the same pairs. Left out is
what this traffic never needs: passes that are late or ahead of their arrival, clocks that are always ahead,
and plates with hundreds of passes.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

COLUMNS, FLAGS = 12, ("0", "1")
REPLACED = "\ufffd"  # what a decoder leaves of bytes that are no UTF-8
Pass = tuple[int, str, int]  # seconds of local time, id, code of the gate


class Rule:
    """What contradicts. ``told`` holds ``gates``, ``least`` (seconds by code and code, -1 where nothing is
    known), ``window``, ``retention`` (seconds) and ``plate`` (pattern of a whole one)."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._gate = {name: code for code, name in enumerate(told["gates"])}
        self._least = told["least"]
        self._window, self._retention = told["window"], told["retention"]
        self._whole = re.compile(told["plate"]).match
        self._midnight: dict[str, int] = {}

    def read(self, text: str) -> tuple[str, Pass] | None:
        """Plate and pass of a record; None if it is not understood, or is of no use here."""
        fields = text.split("\t")
        if len(fields) != COLUMNS or REPLACED in text:
            return None
        gcxh, _, kkmc, _, gcsj, _, plate, _, _, weekend, peak, _ = fields
        if not gcxh or weekend not in FLAGS or peak not in FLAGS:
            return None
        try:
            new = self.pass_of(plate, self._seconds(gcsj), gcxh, kkmc)
        except ValueError:
            return None
        return (plate, new) if new else None

    def pass_of(self, plate: str, t: int, gcxh: str, kkmc: str) -> Pass | None:
        """A pass that was read; None if its plate is not whole or its gate is unknown."""
        gate = self._gate.get(kkmc)
        return (t, gcxh, gate) if gate is not None and self._whole(plate) else None

    def completes(self, kept: list[Pass], new: Pass) -> list[tuple[str, str]] | None:
        """Ids of the pairs that a new pass completes, the earlier first; None if it is known already."""
        pairs = []
        for old in kept:
            if old[1] == new[1]:
                return None
            first, second = (old, new) if old < new else (new, old)
            gap = second[0] - first[0]
            if gap < self._least[first[2]][second[2]] and gap <= self._window:
                pairs.append((first[1], second[1]))
        return pairs

    def forgets(self, kept: list[Pass], new: Pass) -> bool:
        """Whether one of ``kept`` is too old to matter once ``new`` is there."""
        return any(old[0] < new[0] - self._retention for old in kept)

    def remembered(self, kept: list[Pass], new: Pass) -> list[Pass]:
        """What is kept of a plate from now on."""
        return [one for one in (*kept, new) if one[0] >= new[0] - self._retention]

    def horizon(self, newest: int) -> int:
        """Time before which nothing matters once ``newest`` was seen."""
        return newest - self._retention

    def _seconds(self, text: str) -> int:
        day = text[:10]
        midnight = self._midnight.get(day)
        if midnight is None:
            midnight = self._midnight[day] = date.fromisoformat(day).toordinal() * 86_400
        return midnight + int(text[11:13]) * 3_600 + int(text[14:16]) * 60 + int(text[17:19])
