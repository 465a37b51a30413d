"""What a rule knows: the gates, and for each ordered pair the shortest honest travel time.

Built once from the gate list and the learned travel times, then only read. No file is touched here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.travel import BASIS_FEW, BASIS_LEARNED
from kakou.detection.weighing import USUAL, Weighing
from kakou.geography import great_circle_km

# What ``few`` trips must show to lower the time taken from the map, and how far they may: roadside
# coordinates are off by kilometres, but not by half of a long way.
FEWEST_TRIPS: Final = 3
LOWEST_SHARE: Final = 0.5

BASIS_NONE: Final = 0
BASIS_HISTORY: Final = 1
BASIS_MAP: Final = 2


@dataclass(frozen=True)
class Limits:
    """How far in time a rule looks, all in seconds.

    Attributes:
        window: passes at most this far apart are compared.
        lateness: a pass this far behind the newest one that arrived before it still counts; an older one is
            late.
        future: a pass stamped further ahead of its own arrival is set aside.
    """

    window: int = 7200
    lateness: int = 1800
    future: int = 1200

    @property
    def retention(self) -> int:
        """How far behind the newest pass a pass is kept."""
        return self.window + self.lateness


@dataclass(frozen=True)
class RuleSettings:
    """What a person may set of a rule.

    Attributes:
        limits: how far in time it looks.
        fallback_kmh: speed in a straight line where no travel time is learned.
        weighing: how reasons are weighed.
    """

    limits: Limits
    fallback_kmh: float = 200.0
    weighing: Weighing = USUAL


@dataclass(frozen=True)
class Rules:
    """What contradicts, with its limits; build it with ``build_rules``.

    Attributes:
        gates: codenames; a code is an index into it.
        names: long names, by code.
        min_travel: seconds for (from, to) by code, -1 where nothing is known.
        distance_km: great-circle distance by code, NaN where a coordinate is missing or not used.
        basis: ``BASIS_NONE``, ``BASIS_HISTORY`` or ``BASIS_MAP`` by code.
        ahead: seconds that the clock of a gate is always ahead, by code.
        weighing: how reasons are weighed.
    """

    limits: Limits
    gates: tuple[str, ...]
    names: tuple[str, ...]
    min_travel: npt.NDArray[np.int32]
    distance_km: npt.NDArray[np.float64]
    basis: npt.NDArray[np.int8]
    fallback_kmh: float
    ahead: npt.NDArray[np.int64]
    weighing: Weighing = USUAL

    @cached_property
    def code(self) -> dict[str, int]:
        """Code of each gate."""
        return {gate: index for index, gate in enumerate(self.gates)}

    @cached_property
    def least(self) -> npt.NDArray[np.float64]:
        """``min_travel``, NaN where nothing is known."""
        return np.where(self.min_travel >= 0, self.min_travel, np.nan)

    def codes_of(self, kkmc: pl.Series) -> npt.NDArray[np.int32]:
        """Codes of gate names, -1 for a gate that nobody described."""
        if not self.gates:
            return np.full(len(kkmc), -1, dtype=np.int32)
        codes = kkmc.replace_strict(
            list(self.gates), list(range(len(self.gates))), default=-1, return_dtype=pl.Int32
        )
        return codes.to_numpy().astype(np.int32, copy=False)

    def name_of(self, kkmc: str) -> str:
        """Long name of a gate, or its codename where no long name is known."""
        return self._name_by_gate.get(kkmc) or kkmc

    @cached_property
    def _name_by_gate(self) -> dict[str, str]:
        return dict(zip(self.gates, self.names, strict=True))


def build_rules(
    gates: pl.DataFrame,
    travel: pl.DataFrame,
    *,
    limits: Limits | None = None,
    fallback_kmh: float = 200.0,
    ahead: Mapping[str, int] | None = None,
    weighing: Weighing = USUAL,
    apart: Iterable[tuple[str, str]] = (),
) -> Rules:
    """Joins what is known about the gates.

    For each ordered pair: the learned time; else the straight line at ``fallback_kmh``, lowered to what a
    ``few`` row of ``travel`` shows to be possible; else nothing, and then no verdict is given.

    Args:
        gates: columns ``kkmc``, ``name``, ``lon``, ``lat``; coordinates may be null.
        travel: columns of ``travel.TRAVEL_COLUMNS``; may be empty.
        ahead: seconds that the clocks of some gates are always ahead.
        apart: pairs of codenames whose straight line is not known, though both coordinates are; both ways.
    """
    known = gates.unique("kkmc", keep="first", maintain_order=True)
    extra = pl.concat([travel["from_kkmc"], travel["to_kkmc"]]).unique().sort()
    extra = extra.filter(~extra.is_in(known["kkmc"].to_list()))
    codenames = (*known["kkmc"].to_list(), *extra.to_list())
    code = {gate: index for index, gate in enumerate(codenames)}
    size = len(codenames)

    lon, lat = np.full(size, np.nan), np.full(size, np.nan)
    lon[: len(known)] = known["lon"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    lat[: len(known)] = known["lat"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    distance = great_circle_km(lon[:, None], lat[:, None], lon[None, :], lat[None, :])
    for a, b in apart:
        distance[code[a], code[b]] = distance[code[b], code[a]] = np.nan

    on_map = np.isfinite(distance)
    min_travel = np.full((size, size), -1, dtype=np.int32)
    min_travel[on_map] = np.floor(distance[on_map] / fallback_kmh * 3600).astype(np.int32)
    basis = np.where(on_map, BASIS_MAP, BASIS_NONE).astype(np.int8)
    for row in travel.iter_rows(named=True):
        _apply(row, code, min_travel, basis)
    np.fill_diagonal(min_travel, -1)
    np.fill_diagonal(basis, BASIS_NONE)
    return Rules(
        limits=limits or Limits(),
        gates=codenames,
        names=(*known["name"].fill_null("").to_list(), *[""] * len(extra)),
        min_travel=min_travel,
        distance_km=distance,
        basis=basis,
        fallback_kmh=fallback_kmh,
        ahead=np.array([(ahead or {}).get(gate, 0) for gate in codenames], dtype=np.int64),
        weighing=weighing,
    )


def _apply(
    row: dict[str, Any],
    code: dict[str, int],
    min_travel: npt.NDArray[np.int32],
    basis: npt.NDArray[np.int8],
) -> None:
    at = code[row["from_kkmc"]], code[row["to_kkmc"]]
    seconds = row["min_travel_seconds"]
    # A history holds clones too: one impossible hop must not make the impossible possible.
    believable = row["passes"] >= FEWEST_TRIPS and seconds >= min_travel[at] * LOWEST_SHARE
    if row["basis"] == BASIS_LEARNED or (
        row["basis"] == BASIS_FEW and believable and seconds < min_travel[at]
    ):
        min_travel[at], basis[at] = seconds, BASIS_HISTORY
