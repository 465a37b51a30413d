"""A labelled world as files: history, the judged day, the gates, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from etl.generate.world.reads import make_cameras, read_passings
from etl.generate.world.roads import Roads, make_roads
from etl.generate.world.traffic import DAY_S, Fleet, drive, make_fleet
from kakou.errors import BadInputError
from kakou.fields import FIELDS_8, TIME_FORMAT

_FIRST_MIDNIGHT_S = int((datetime(2024, 3, 4) - datetime(1970, 1, 1)).total_seconds())
_LEAST_PASSES, _LEAST_DAYS, _LEAST_GATES = 1_000, 2, 12
# Two vehicles are told apart only by what no driver could have done: nobody drives the whole way at less than
# this share of the free-flow time.
_FASTEST = 0.72
_WINDOW_S = 7200
# Powers of ten of the share of plates that are cloned: a tenth of a percent to one percent.
_CLONED = (-3.0, -2.0)


@dataclass(frozen=True)
class World:
    """Reads of the days before and of the judged day, in order of arrival, and what is true."""

    roads: Roads
    fleet: Fleet
    history: pl.DataFrame
    passes: pl.DataFrame
    plates: pl.DataFrame


def make_world(seed: int, *, passes: int = 150_000, days: int = 7, masked: bool = False) -> World:
    """Draws a world.

    Args:
        seed: same seed and sizes, same world.
        passes: about how many the judged day has.
        days: with the judged one, which is the last; the others are history, so 7 days of 150,000 are about
            a million of history.
        masked: cut every plate.

    Returns:
        the world; ``plates`` has a row for each plate of a vehicle: ``plate``, ``cloned`` (two vehicles drove
        under it on the judged day), ``decidable`` (two reads of them are too far apart for one),
        ``same_brand``.

    Raises:
        BadInputError: too few passes or days, or a seed below 0.
    """
    if passes < _LEAST_PASSES or days < _LEAST_DAYS or seed < 0:
        raise BadInputError(
            f"A world of {passes} passes, {days} days and seed {seed} cannot be; give it at least "
            f"{_LEAST_PASSES} passes, {_LEAST_DAYS} days (the last is judged, those before are its history) "
            "and a seed from 0 on."
        )
    rng = np.random.default_rng(seed)
    roads = make_roads(rng)
    while len(roads.gates) < _LEAST_GATES:
        roads = make_roads(rng)
    entries = np.diff(roads.starts).mean()
    honest = max(50, int(passes / (1.9 * entries)))
    fleet = make_fleet(rng, honest, days, float(10 ** rng.uniform(*_CLONED)))
    passing = drive(rng, roads, fleet, days)
    reads = read_passings(rng, roads, fleet, make_cameras(rng, roads, days, masked), passing)
    reads = reads.with_columns(_written(pl.col("t")).alias("GCSJ"))
    last = pl.col("true_t") >= (days - 1) * DAY_S
    judged = reads.filter(last)
    return World(roads, fleet, reads.filter(~last), judged, truth_of_plates(roads, fleet, judged))


def _written(seconds: pl.Expr) -> pl.Expr:
    """Seconds since the first midnight as a field holds them."""
    return pl.from_epoch(seconds + _FIRST_MIDNIGHT_S, time_unit="s").dt.strftime(TIME_FORMAT)


def truth_of_plates(roads: Roads, fleet: Fleet, judged: pl.DataFrame) -> pl.DataFrame:
    """What is true of each plate on the judged day; only what a gate read rightly can prove anything.

    Args:
        judged: ``vehicle``, ``true_t``, ``KKMC``, ``kind`` and ``first`` of each read.

    Returns:
        ``plates`` of a world.
    """
    index = {gate.kkmc: number for number, gate in enumerate(roads.gates)}
    plain = judged.filter(pl.col("kind") == "ok", pl.col("first")).select(
        "vehicle", "true_t", pl.col("KKMC").replace_strict(index, return_dtype=pl.Int64).alias("gate")
    )
    owners = pl.DataFrame({"vehicle": np.arange(fleet.size), "owner": fleet.owner, "brand": fleet.brand})
    plain = plain.join(owners, on="vehicle")
    twins = plain.filter(pl.col("vehicle") != pl.col("owner"))
    both = twins.join(plain.filter(pl.col("vehicle") == pl.col("owner")), on="owner", suffix="_b")
    apart = (both["true_t"] - both["true_t_b"]).abs().to_numpy()
    least = roads.gate_hours[both["gate"].to_numpy(), both["gate_b"].to_numpy()] * 3600 * _FASTEST
    decided = both.filter(pl.Series((apart < least) & (apart <= _WINDOW_S)))
    cloned, decidable = set(both["owner"].to_list()), set(decided["owner"].to_list())
    clone_of = dict(zip(fleet.owner.tolist(), range(fleet.size), strict=True))
    owner = [number for number in range(fleet.size) if fleet.owner[number] == number]
    return pl.DataFrame({
        "plate": fleet.plate[owner],
        "cloned": [number in cloned for number in owner],
        "decidable": [number in decidable for number in owner],
        "same_brand": [bool(fleet.brand[clone_of[number]] == fleet.brand[number]) for number in owner],
    })  # fmt: skip


def write_world(out: Path, world: World) -> dict[str, Any]:
    """Writes ``history.csv``, ``passes.csv``, ``gates.csv``, ``truth_plates.csv`` and ``truth_passes.csv``.

    Returns:
        counts.

    Raises:
        BadInputError: the folder cannot be written.
    """
    gates = pl.DataFrame(
        [(gate.kkmc, gate.name, gate.district, gate.lon, gate.lat) for gate in world.roads.gates],
        schema=["KKMC", "NAME", "XZQHMC", "LON", "LAT"], orient="row",
    )  # fmt: skip
    truth = _truth_of_passes(world)
    try:
        out.mkdir(parents=True, exist_ok=True)
        world.history.select(FIELDS_8).write_csv(out / "history.csv")
        world.passes.select(FIELDS_8).write_csv(out / "passes.csv")
        gates.write_csv(out / "gates.csv")
        world.plates.write_csv(out / "truth_plates.csv")
        truth.write_csv(out / "truth_passes.csv")
    except OSError as error:
        raise BadInputError(f"{out} cannot be written ({error.strerror}). Name another folder.") from error
    cloned = world.plates.filter("cloned")
    return {
        "gates": len(gates), "history": len(world.history), "passes": len(world.passes),
        "plates": len(world.plates), "cloned": len(cloned), "decidable": int(cloned["decidable"].sum()),
    }  # fmt: skip


def _truth_of_passes(world: World) -> pl.DataFrame:
    """Who drove by, under which plate and when, by the id of the read."""
    reads = world.passes.filter("first")
    plate = pl.Series(world.fleet.plate).gather(reads["vehicle"])
    time = _written(pl.col("true_t").cast(pl.Int64))
    return reads.select("GCXH", "vehicle", plate.alias("true_plate"), "kind", time.alias("true_time"))
