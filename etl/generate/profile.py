"""What the real export looks like, in numbers: hourly flow of each gate, shares of plates and brands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from etl.registry import known_gates
from kakou.geography import great_circle_km

FloatArray = NDArray[np.float64]
ROAD_FACTOR = 1.2  # a road is about this much longer than the straight line
SLOWEST_KMH, FASTEST_KMH = 58.0, 92.0


@dataclass(frozen=True, slots=True)
class TrafficProfile:
    """Arrays over gates in the order of ``known_gates``.

    Attributes:
        flow: passes per hour, shape (2, gates, 24); first weekdays, then weekends.
        spellings: for each gate the names that its files use.
        spelling_share: for each gate the share of each name.
        direction, district: for each gate.
        km: great-circle distances, shape (gates, gates).
        least_seconds: no vehicle is ever faster between two gates; holds the triangle inequality.
    """

    flow: FloatArray
    spellings: tuple[tuple[str, ...], ...]
    spelling_share: tuple[tuple[float, ...], ...]
    direction: tuple[str, ...]
    district: tuple[str, ...]
    km: FloatArray
    least_seconds: FloatArray
    plate_types: dict[str, float]
    brands: dict[str, float]
    prefixes: dict[str, float]
    missing_brand: float
    missing_plate_type: float
    malformed_plates: float


@cache
def traffic_profile() -> TrafficProfile:
    """Reads the figures that travel with the package."""
    raw = json.loads(resources.files("etl").joinpath("data/traffic_profile.json").read_text(encoding="utf-8"))
    gates = known_gates()
    of_alias = {alias: index for index, gate in enumerate(gates) for alias in gate.aliases}
    flow = np.zeros((2, len(gates), 24))
    names: list[list[tuple[str, float]]] = [[] for _ in gates]
    direction = [""] * len(gates)
    for one in raw["spellings"]:
        gate = of_alias[one["name"]]
        flow[0, gate] += one["weekday"]
        flow[1, gate] += one["weekend"]
        names[gate].append((one["name"], sum(one["weekday"])))
        direction[gate] = one["direction"]
    lon, lat = np.array([(gate.lon, gate.lat) for gate in gates], dtype=np.float64).T
    km = great_circle_km(lon[:, None], lat[:, None], lon, lat)
    return TrafficProfile(
        flow=flow,
        spellings=tuple(tuple(n for n, _ in some) for some in names),
        spelling_share=tuple(tuple(w / sum(v for _, v in some) for _, w in some) for some in names),
        direction=tuple(direction),
        district=tuple(gate.xzqhmc for gate in gates),
        km=km,
        least_seconds=_least_seconds(km),
        plate_types=raw["plate_type_share"],
        brands=raw["brand_share"],
        prefixes=raw["plate_prefix_share"],
        missing_brand=raw["missing"]["brand"],
        missing_plate_type=raw["missing"]["plate_type"],
        malformed_plates=raw["malformed_plates"],
    )


def _least_seconds(km: FloatArray) -> FloatArray:
    """Fastest trip of each ordered pair: a speed of its own, then the shortest path over other gates."""
    size = len(km)
    # A fixed seed of its own: the roads are the same whatever traffic is drawn.
    speed = np.random.default_rng(19).uniform(SLOWEST_KMH, FASTEST_KMH, (size, size))
    seconds = np.ceil(km * ROAD_FACTOR / speed * 3600)
    for via in range(size):
        # Without this a vehicle whose middle pass was lost could seem faster than any direct trip.
        seconds = np.minimum(seconds, seconds[:, via, None] + seconds[None, via, :])
    np.fill_diagonal(seconds, 0)
    return seconds
