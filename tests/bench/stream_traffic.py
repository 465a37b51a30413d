"""Traffic that is like the export's and honest by construction, with clones, repeats and poison planted.

Five roads of eight gates. A vehicle drives along one of them at 60 to 115 km/h and is seen at one to six
gates in a row, so that the detector keeps and compares as on a real road, and finds only what is planted.
All is drawn from the seed; nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from etl.generate.profile import traffic_profile
from etl.generate.vehicles import make_vehicles
from etl.ship.topic import key_of
from kakou.fields import (
    COLUMNS_12,
    DIMENSION_COLUMNS,
    PEAK_HOURS,
    PROVINCES,
    UNKNOWN_PROVINCE,
    UNKNOWN_VEHICLE_TYPE,
    VEHICLE_TYPE_NAMES,
)

ROADS, GATES_OF_A_ROAD, MOST_SEEN = 5, 8, 6
KM_BETWEEN, ROAD_FACTOR = 10.0, 1.15
SLOWEST_KMH, FASTEST_KMH = 60.0, 115.0
LONGEST_TRIP_S = int((MOST_SEEN - 1) * KM_BETWEEN * ROAD_FACTOR / SLOWEST_KMH * 3600)
MEAN_SEEN = 2.4  # a little below the truth, so that enough trips are drawn
DISTRICTS = ("丰县", "沛县", "铜山县", "睢宁县", "邳州市")
FIRST_ID, IDS_OF_A_SEED = 320_300_000_000_000_000, 10**12
DUPLICATES, POISON = 0.005, 0.002
CLONE_GAP_S = 60
REPEATED_WITHIN = 2_000  # a record comes again at most so many records later


@dataclass(frozen=True)
class Plan:
    """How much traffic: ``records`` in all, pass times evenly over ``seconds`` from ``start`` (local)."""

    records: int
    start: datetime
    seconds: float
    clones: int = 10
    seed: int = 1


@dataclass(frozen=True)
class Traffic:
    """Records in the order in which they are sent.

    Attributes:
        passes: ``COLUMNS_12`` as text, ``kind`` (pass, clone, repeat, poison); one row for each record.
        values: the wire form of each.
        clones: ids of the two passes of each planted clone.
    """

    passes: pl.DataFrame
    values: list[bytes]
    clones: frozenset[tuple[str, str]]

    @cached_property
    def keys(self) -> list[bytes]:
        """The plate of each, as the shipper takes it."""
        return [key_of(value) for value in self.values]

    def count(self, kind: str) -> int:
        """Records of a kind."""
        return int((self.passes["kind"] == kind).sum())

    @property
    def understood(self) -> int:
        """Records that are passes, repeated ones too."""
        return len(self.values) - self.count("poison")

    def understood_of(self, sent: int) -> int:
        """The same of the first ``sent`` records."""
        return int((self.passes["kind"][:sent] != "poison").sum())


def gates() -> pl.DataFrame:
    """The forty gates: columns ``DIMENSION_COLUMNS``, in the order road by road."""
    degree = KM_BETWEEN / 92.0  # of longitude at this latitude
    rows = []
    for road in range(ROADS):
        for at in range(GATES_OF_A_ROAD):
            name, stake = f"G{10 + road}_Bench{road}_K{100 + 10 * at}", f"K{100 + 10 * at}"
            place = (round(116.6 + at * degree, 6), round(33.9 + 0.25 * road, 6))
            long_name = f"徐州市{DISTRICTS[road]}G{10 + road}国道{stake}卡口"
            rows.append((name, long_name, long_name, DISTRICTS[road], f"G{10 + road}", stake, "", *place))
    return pl.DataFrame(rows, schema=list(DIMENSION_COLUMNS), orient="row")


def write_gates(path: Path) -> None:
    """Writes the gates as ``kkmc_dimension.csv``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gates().write_csv(path)


def make_traffic(plan: Plan) -> Traffic:
    """Draws the traffic of a plan."""
    rng = np.random.default_rng(plan.seed)
    repeats = round(plan.records * DUPLICATES)
    honest = _honest(plan, plan.records - repeats - 2 * plan.clones, rng)
    cloned = _cloned(plan)
    passes = pl.concat([honest, cloned]).sort("t", maintain_order=True)
    passes = passes.with_columns(gcxh=_ids(plan.seed, len(passes), rng))
    again = _repeats(passes, repeats, rng)
    passes = pl.concat([passes.with_row_index("at").cast({"at": pl.Float64}), again]).sort("at")
    passes = _in_fields(passes, plan.start)
    values = passes.select(pl.concat_str(COLUMNS_12, separator="\t").cast(pl.Binary)).to_series().to_list()
    for number, row in enumerate(np.flatnonzero((passes["kind"] == "poison").to_numpy())):
        values[row] = spoilt(values[row], number)
    pairs = passes.filter(pl.col("kind") == "clone").group_by("hphm").agg("gcxh").sort("hphm")["gcxh"]
    clones = frozenset((one[0], one[1]) for one in pairs.to_list())
    return Traffic(passes.select(*COLUMNS_12, "kind"), values, clones)


def spoilt(value: bytes, number: int) -> bytes:
    """A record that must be rejected, by turns for another reason."""
    fields = value.split(b"\t")
    match number % 5:
        case 0:
            return b"\t".join(fields[:-1])
        case 1:
            fields[7] = b"\xff\xfe"
        case 2:
            fields[4] = b"2024-02-30 08:00:10"
        case 3:
            fields[2] = b""
        case _:
            fields[9] = b"2"
    return b"\t".join(fields)


def _honest(plan: Plan, wanted: int, rng: np.random.Generator) -> pl.DataFrame:
    """Passes ``t`` (seconds from the start), ``gate``, ``direction``, plate, type, brand and kind."""
    longest = LONGEST_TRIP_S
    trips = int(wanted * (plan.seconds + longest) / (MEAN_SEEN * plan.seconds)) + 100
    speed = rng.uniform(SLOWEST_KMH, FASTEST_KMH, trips)
    leg = KM_BETWEEN * ROAD_FACTOR / speed * 3600
    seen, entry = rng.integers(1, MOST_SEEN + 1, trips), rng.integers(0, GATES_OF_A_ROAD, trips)
    back, road = rng.random(trips) < 0.5, rng.integers(0, ROADS, trips)
    began = rng.uniform(-longest, plan.seconds, trips)
    parts = []
    for nth in range(MOST_SEEN):
        at, t = np.where(back, entry - nth, entry + nth), began + nth * leg
        there = (seen > nth) & (at >= 0) & (at < GATES_OF_A_ROAD) & (t >= 0) & (t < plan.seconds)
        trip = np.flatnonzero(there)
        gate = (road * GATES_OF_A_ROAD + at)[trip]
        parts.append((trip, t[trip], gate, back[trip]))
    trip, t, gate, behind = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if len(trip) < wanted:
        raise ValueError(f"{len(trip)} passes were drawn and {wanted} are wanted.")
    chosen = rng.choice(len(trip), wanted, replace=False)
    driven, vehicle = np.unique(trip[chosen], return_inverse=True)
    made = make_vehicles(traffic_profile(), len(driven), rng)
    return pl.DataFrame(
        {
            "t": t[chosen], "gate": gate[chosen], "direction": np.where(behind[chosen], "2", "1"),
            "hphm": made.plate[vehicle], "hpzl": made.plate_type[vehicle], "clppxh": made.brand[vehicle],
            "kind": np.where(rng.random(wanted) < POISON, "poison", "pass"),
        }
    )  # fmt: skip


def _cloned(plan: Plan) -> pl.DataFrame:
    """Two passes of each clone, a minute apart and far from each other; no other vehicle has its plate.

    Each at gates of its own as far as there are enough: many at one gate would be a clock's doing.
    """
    count = ROADS * GATES_OF_A_ROAD
    gap = min(CLONE_GAP_S, plan.seconds / 4)
    every = (plan.seconds - gap) / max(1, plan.clones)
    rows = [
        (every * (n + 0.5) + side * gap, (n + side * count // 2) % count, "1",
         f"藏Z{n * 12_347 % 100_000:05d}", "02", ("大众牌", "丰田牌")[side], "clone")
        for n in range(plan.clones) for side in (0, 1)
    ]  # fmt: skip
    columns = {"t": pl.Float64, "gate": pl.Int64} | dict.fromkeys(
        ("direction", "hphm", "hpzl", "clppxh", "kind"), pl.String
    )
    return pl.DataFrame(rows, schema=columns, orient="row")


def _ids(seed: int, count: int, rng: np.random.Generator) -> pl.Series:
    """Rising ids; those of two seeds never meet, so that two plans may share a topic."""
    numbers = pl.Series(FIRST_ID + seed * IDS_OF_A_SEED + np.cumsum(rng.integers(1, 120, count)))
    return pl.select(pl.concat_str(pl.lit("G"), numbers)).to_series()


def _repeats(passes: pl.DataFrame, count: int, rng: np.random.Generator) -> pl.DataFrame:
    good = np.flatnonzero((passes["kind"] == "pass").to_numpy())
    chosen = np.sort(rng.choice(good, count, replace=False))
    later = chosen + rng.integers(1, REPEATED_WITHIN, count) + 0.5
    return passes[chosen].with_columns(kind=pl.lit("repeat")).select(pl.Series("at", later), pl.all())


def _in_fields(passes: pl.DataFrame, start: datetime) -> pl.DataFrame:
    places = gates()
    number = pl.col("gate")
    time = pl.lit(start.replace(microsecond=0)) + pl.duration(seconds=pl.col("t").floor().cast(pl.Int64))
    kinds, provinces = VEHICLE_TYPE_NAMES, PROVINCES
    return passes.with_columns(
        xzqhmc=number.replace_strict(range(len(places)), places["XZQHMC"], return_dtype=pl.String),
        kkmc=number.replace_strict(range(len(places)), places["KKMC"], return_dtype=pl.String),
        fxlx="direction",
        gcsj=time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        province=pl.col("hphm").str.head(1).replace_strict(provinces, default=UNKNOWN_PROVINCE),
        is_weekend=(time.dt.weekday() >= 6).cast(pl.Int8).cast(pl.String),
        is_peak_hour=time.dt.hour().is_in(sorted(PEAK_HOURS)).cast(pl.Int8).cast(pl.String),
        vehicle_type_name=pl.col("hpzl").replace_strict(kinds, default=UNKNOWN_VEHICLE_TYPE),
    )
