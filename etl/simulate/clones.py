"""Plants clones on purpose: a second vehicle under a plate that was just seen far away."""

from __future__ import annotations

import csv
import random
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.simulate.pacing import Pacer, SourceRow
from kakou.errors import BadInputError
from kakou.fields import MISSING
from kakou.geography import great_circle_km
from kakou.plates import is_decidable

LEAST_KM: Final = 20.0  # 20 km at 200 km/h is six minutes; a clone follows within one
LEAST_GAP, MOST_GAP = 3.0, 50.0


@dataclass(frozen=True, slots=True)
class GatePlace:
    """What a planted pass needs to know about its gate."""

    kkmc: str
    xzqhmc: str
    lon: float
    lat: float


def gate_places(dimension: Path) -> dict[str, GatePlace]:
    """Gates with coordinates from ``kkmc_dimension.csv``.

    Raises:
        BadInputError: the batch has not written that file.
    """
    try:
        with dimension.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise BadInputError(f"{dimension} is not there; run `kakou etl run` first.") from error
    return {
        row["KKMC"]: GatePlace(row["KKMC"], row["XZQHMC"], float(row["LON"]), float(row["LAT"]))
        for row in rows
        if row["LON"] and row["LAT"]
    }


@dataclass(frozen=True, slots=True)
class Planted:
    """A clone to write: the honest pass it contradicts, and its own row."""

    first_gcxh: str
    first_kkmc: str
    row: SourceRow


class CloneMaker:
    """Chooses whom to clone. It sees every emitted pass and is asked when a clone is due."""

    def __init__(self, gates: dict[str, GatePlace], rng: random.Random) -> None:
        self._gates = gates
        self._rng = rng
        self._recent: deque[tuple[float, str, SourceRow]] = deque()
        self._brands: dict[str, None] = {}
        self._directions: dict[str, str] = {}

    def saw(self, row: SourceRow, gcxh: str, at: float) -> None:
        """Notes an honest pass."""
        self._directions[row.kkmc] = row.fxlx
        if row.clppxh == MISSING:
            return
        if len(self._brands) < 500:
            self._brands.setdefault(row.clppxh)
        if row.kkmc in self._gates and is_decidable(row.hphm):
            self._recent.append((at, gcxh, row))
        while self._recent and at - self._recent[0][0] > MOST_GAP:
            self._recent.popleft()

    def make(self, pacer: Pacer, now: float) -> Planted | None:
        """A clone that contradicts a pass of the last minute; None if none can be made yet."""
        able = []
        for at, gcxh, row in self._recent:
            last = pacer.last_seen(row.hphm)
            ready = LEAST_GAP <= now - at <= MOST_GAP and last is not None and last.at == at
            if ready and row.hphm not in pacer.burned():
                able.append((last.times if last else 0, gcxh, row))
        if not able:
            return None
        # A plate seen once makes one contradiction; one seen often would make many of the same case.
        fewest = min(times for times, _, _ in able)
        _, gcxh, row = self._rng.choice([one for one in able if one[0] == fewest])
        here = self._gates[row.kkmc]
        far = [
            gate
            for gate in self._gates.values()
            if great_circle_km(here.lon, here.lat, gate.lon, gate.lat) >= LEAST_KM
        ]
        make = row.clppxh.split("-")[0]
        others = [brand for brand in self._brands if brand.split("-")[0] != make]
        if not far or not others:
            return None
        gate = self._rng.choice(far)
        clone = row._replace(
            xzqhmc=gate.xzqhmc, kkmc=gate.kkmc, fxlx=self._directions.get(gate.kkmc, "1"),
            clppxh=self._rng.choice(others),
        )  # fmt: skip
        return Planted(gcxh, row.kkmc, clone)
