"""Gates and pairs of gates whose geometry is not used, and why, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import polars as pl


class Reason(StrEnum):
    """What contradicts a place."""

    COUNTRY = "outside_country"
    DISTRICT = "far_from_district"
    STAKES = "stakes"
    PASSES = "passes"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate whose place on the map is not used, or the straight line between two gates.

    Attributes:
        gates: one codename, then no pair with it has a geometry; or two, then this pair alone has none.
        reason: what contradicts.
        zh, en: what is not used and why, half a sentence in each language.
    """

    gates: tuple[str, ...]
    reason: Reason
    zh: str
    en: str

    @property
    def label(self) -> str:
        """The gate, or both."""
        return " – ".join(self.gates)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: ``gates``, ``reason``, ``why`` in both languages."""
        return {"gates": list(self.gates), "reason": self.reason, "why": {"zh": self.zh, "en": self.en}}


def outside(gate: str, lon: float, lat: float, *, exchanged: bool) -> Refusal:
    """A place that is not in the country; ``exchanged``: it would be with LON as LAT."""
    zh, en = ("；经纬度可能写反", "; LON and LAT may be exchanged") if exchanged else ("", "")
    return _of_place(
        gate, Reason.COUNTRY,
        f"经度 {lon:g}、纬度 {lat:g} 不在国内{zh}", f"LON {lon:g}, LAT {lat:g} is not in the country{en}",
    )  # fmt: skip


def far_from_district(gate: str, district: str, nearest: str, km: float) -> Refusal:
    """A place far from all others of the district."""
    return _of_place(
        gate, Reason.DISTRICT,
        f"距{district}其他卡口中最近的 {nearest} 有 {km:.0f} 公里",
        f"{km:.0f} km from {nearest}, the nearest of the other gates of {district}",
    )  # fmt: skip


def against_stakes(gate: str, road: str, others: Sequence[str]) -> Refusal:
    """A place that contradicts the stakes of several others of the road; the stake may be what is wrong."""
    return _of_place(
        gate, Reason.STAKES,
        f"按{road}桩号，到 {'、'.join(others)} 的路程短于直线距离",
        f"by the stakes of {road} the road to {', '.join(others)} is shorter than the straight line",
    )  # fmt: skip


def line_against_stakes(a: str, b: str, road: str, road_km: float, straight_km: float) -> Refusal:
    """Two gates of a road whose stakes are closer than their places."""
    return Refusal(
        (a, b), Reason.STAKES,
        f"{a} 与 {b} 的直线距离：{straight_km:.0f} 公里，而按{road}桩号路程为 {road_km:.0f} 公里",
        f"the straight line from {a} to {b}: {straight_km:.0f} km, but {road_km:.0f} km by the stakes of "
        f"{road}",
    )  # fmt: skip


def against_passes(gate: str) -> Refusal:
    """A place that passes reach faster than anybody drives."""
    return _of_place(
        gate, Reason.PASSES, "过车记录快于任何车辆可能的行程", "passes reach it faster than anybody drives"
    )


def _of_place(gate: str, reason: Reason, zh: str, en: str) -> Refusal:
    return Refusal((gate,), reason, f"{gate} 在地图上的位置：{zh}", f"the place of {gate} on the map: {en}")


def with_places_left(gates: pl.DataFrame, refused: Iterable[Refusal]) -> pl.DataFrame:
    """The gates, those without a place whose place is refused."""
    alone = [one.gates[0] for one in refused if len(one.gates) == 1]
    trusted = pl.col("kkmc").is_in(alone).not_()
    return gates.with_columns(pl.when(trusted).then(pl.col(name)).alias(name) for name in ("lon", "lat"))


def refused_pairs(refused: Iterable[Refusal]) -> list[tuple[str, str]]:
    """The pairs of which the straight line alone is refused."""
    return [(one.gates[0], one.gates[1]) for one in refused if len(one.gates) == 2]


def said(refused: Sequence[Refusal], most: int = 20) -> list[str]:
    """What is not used, a line each; behind ``most`` of them how many more there are."""
    lines = [one.en for one in refused[:most]]
    more = len(refused) - most
    return [*lines, f"and {more} more places and lines"] if more > 0 else lines
