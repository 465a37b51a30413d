"""What the gates make of passings: wrong clocks, characters and brands, late and double deliveries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from etl.generate.world.roads import FloatArray, IntArray, Roads
from etl.generate.world.traffic import DAY_S, Fleet, Passing, StrArray

# Characters that look alike; a world weighs them as it likes, and adds a few of its own.
_ALIKE = (
    "0D", "0Q", "0C", "8B", "8S", "5S", "2Z", "17", "1T", "6G", "38",
    "35", "9P", "UV", "EF", "MN", "HN", "PR", "KX", "DQ", "4A",
)  # fmt: skip
_NO_PLATE = ("无牌", "-", "未识别", "无号牌", "未悬挂")
_LETTERS_AND_DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
_SLOW_STEP_S = 1800


@dataclass(frozen=True)
class Cameras:
    """How well the gates of a world see, tell the time and deliver; shares of reads unless said otherwise.

    Attributes:
        missed, misread, masked, no_plate, repeated: of passings; ``repeated`` ones are read twice.
        brand_wrong, brand_missing: of reads.
        confusion: ``(character, character it is read as, weight)``.
        clock: by (gate, half hour since the first midnight), seconds that the gate is ahead.
        silent: ``(gate, from, to)`` in hours since the first midnight; what it saw comes at the end.
        doubled: delivered twice.
    """

    missed: float
    misread: float
    masked: float
    no_plate: float
    repeated: float
    brand_wrong: float
    brand_missing: float
    confusion: tuple[tuple[str, str, float], ...]
    clock: FloatArray
    silent: tuple[tuple[int, float, float], ...]
    doubled: float


def make_cameras(rng: np.random.Generator, roads: Roads, days: int, all_masked: bool) -> Cameras:
    """Draws the faults of a world, so that no two worlds have the same."""
    gates = len(roads.gates)
    pairs = [tuple(pair) for pair in _ALIKE] + [tuple(pair)[::-1] for pair in _ALIKE]
    weights = rng.gamma(0.6, 1.0, len(pairs))
    confusion = tuple((a, b, float(weight)) for (a, b), weight in zip(pairs, weights, strict=True))
    return Cameras(
        missed=rng.uniform(0.01, 0.06), misread=rng.uniform(0.02, 0.04),
        masked=1.0 if all_masked else rng.uniform(0.0, 0.05), no_plate=rng.uniform(0.002, 0.02),
        repeated=rng.uniform(0.005, 0.03), brand_wrong=rng.uniform(0.01, 0.05),
        brand_missing=rng.uniform(0.03, 0.15), confusion=confusion, clock=_clocks(rng, gates, days),
        silent=tuple(
            (int(rng.integers(gates)), day * 24 + at, day * 24 + at + 1 / 3)
            for day in range(days) for at in rng.uniform(7, 20, 1)
        ),
        doubled=rng.uniform(0.002, 0.01),
    )  # fmt: skip


def _clocks(rng: np.random.Generator, gates: int, days: int) -> FloatArray:
    """Most clocks are right to some seconds; some are off by minutes, drift, or jump in mid-day."""
    steps = days * DAY_S // _SLOW_STEP_S
    ahead = np.repeat(rng.normal(0, 3, (gates, 1)), steps, axis=1)
    hour = np.arange(steps) / 2
    for gate in rng.permutation(gates)[: max(3, gates // 6)]:
        kind = rng.integers(3)
        if kind == 0:
            ahead[gate] += rng.choice([-1, 1]) * rng.uniform(60, 600)
        elif kind == 1:
            ahead[gate] += rng.choice([-1, 1]) * rng.uniform(2, 12) * hour / 2
        else:
            at = (days - 1) * 24 + rng.uniform(8, 17)
            ahead[gate] += np.where(hour >= at, rng.choice([-1, 1]) * rng.uniform(180, 1200), 0.0)
    return ahead


def read_passings(
    rng: np.random.Generator, roads: Roads, fleet: Fleet, cameras: Cameras, passing: Passing
) -> pl.DataFrame:
    """The reads in order of their arrival.

    Returns:
        the 8 fields but ``GCSJ``, which is ``t``, seconds since the first midnight by the clock of the gate;
        and beside them ``vehicle``, ``true_t``, ``arrival``, ``kind`` (``ok``, ``misread``, ``masked``,
        ``no_plate``), and ``first`` (False for what is delivered a second time).
    """
    vehicle, gate, true_t = _seen(rng, cameras, passing)
    plate, kind = _plates_read(rng, fleet.plate[vehicle], cameras)
    step = np.clip(true_t // _SLOW_STEP_S, 0, cameras.clock.shape[1] - 1).astype(int)
    stamped = true_t + cameras.clock[gate, step] + rng.normal(0, 0.5, len(true_t))
    arrival = _arrival(rng, cameras, gate, true_t)
    frame = pl.DataFrame({
        "vehicle": vehicle, "true_t": true_t, "kind": kind, "HPHM": plate,
        "HPZL": _types(rng, fleet, vehicle, kind), "CLPPXH": _brands(rng, fleet, cameras, vehicle),
        "t": np.floor(stamped).astype(np.int64), "arrival": arrival, "_gate": gate,
    })  # fmt: skip
    return _delivered(rng, cameras, _numbered(frame, roads))


def _seen(
    rng: np.random.Generator, cameras: Cameras, passing: Passing
) -> tuple[IntArray, IntArray, FloatArray]:
    """Vehicle, gate and second of each read: a gate misses some passings and reads some twice."""
    seen = rng.random(len(passing.t)) > cameras.missed
    again = seen & (rng.random(len(passing.t)) < cameras.repeated)
    pick = np.concatenate([np.flatnonzero(seen), np.flatnonzero(again)])
    later = np.concatenate([np.zeros(seen.sum()), rng.uniform(0, 4, again.sum())])
    return passing.vehicle[pick], passing.gate[pick], passing.t[pick] + later


def _numbered(frame: pl.DataFrame, roads: Roads) -> pl.DataFrame:
    """With name, district and direction of the gate, and an id that counts up at each gate."""
    names = pl.DataFrame({
        "_gate": np.arange(len(roads.gates)), "KKMC": [one.kkmc for one in roads.gates],
        "XZQHMC": [one.district for one in roads.gates],
    })  # fmt: skip
    frame = frame.join(names, on="_gate", maintain_order="left").sort("_gate", "true_t")
    number = pl.int_range(pl.len()).over("_gate").cast(pl.String).str.zfill(9)
    gcxh = pl.lit("G") + pl.col("XZQHMC") + pl.col("KKMC").str.slice(1) + number
    return frame.with_columns(gcxh.alias("GCXH"), pl.lit("1").alias("FXLX"), pl.lit(True).alias("first"))


def _delivered(rng: np.random.Generator, cameras: Cameras, frame: pl.DataFrame) -> pl.DataFrame:
    """In order of arrival; some reads come once more, minutes later."""
    double = frame.filter(pl.Series(rng.random(len(frame)) < cameras.doubled))
    double = double.with_columns(
        pl.col("arrival") + rng.exponential(200, len(double)), pl.lit(False).alias("first")
    )
    return pl.concat([frame, double]).sort("arrival", maintain_order=True).drop("_gate")


def _plates_read(rng: np.random.Generator, plate: StrArray, cameras: Cameras) -> tuple[list[str], list[str]]:
    """What is read of each plate, and the ``kind`` of each read."""
    read, kind, as_what = plate.tolist(), ["ok"] * len(plate), _look_alikes(cameras)
    for index in np.flatnonzero(rng.random(len(plate)) < cameras.misread):
        text = _misread(rng, read[index], as_what)
        if text != read[index]:
            read[index], kind[index] = text, "misread"
    other = rng.random(len(plate))
    for index in np.flatnonzero(other < cameras.masked):
        read[index], kind[index] = read[index][:4] + "***", "masked"
    for index in np.flatnonzero((other >= cameras.masked) & (other < cameras.masked + cameras.no_plate)):
        read[index], kind[index] = str(rng.choice(_NO_PLATE)), "no_plate"
    return read, kind


def _look_alikes(cameras: Cameras) -> dict[str, tuple[list[str], FloatArray]]:
    """For each character those that it is taken for, with their shares."""
    as_what: dict[str, tuple[list[str], FloatArray]] = {}
    for sign in _LETTERS_AND_DIGITS:
        of = [(b, weight) for a, b, weight in cameras.confusion if a == sign]
        total = sum(weight for _, weight in of)
        if total > 0:
            as_what[sign] = ([b for b, _ in of], np.array([weight for _, weight in of]) / total)
    return as_what


def _misread(rng: np.random.Generator, text: str, as_what: dict[str, tuple[list[str], FloatArray]]) -> str:
    """``text`` with one character behind the province drawn anew; now and then that gives the same one."""
    places = [at for at in range(1, len(text)) if text[at] in as_what]
    at = int(rng.choice(places)) if places and rng.random() < 0.85 else int(rng.integers(1, len(text)))
    if text[at] in as_what and rng.random() < 0.9:
        signs, weights = as_what[text[at]]
        sign = str(rng.choice(signs, p=weights))
    else:
        sign = _LETTERS_AND_DIGITS[rng.integers(len(_LETTERS_AND_DIGITS))]
    return text[:at] + sign + text[at + 1 :]


def _types(rng: np.random.Generator, fleet: Fleet, vehicle: IntArray, kind: list[str]) -> StrArray:
    read = fleet.hpzl[vehicle].copy()
    wrong = rng.random(len(read)) < 0.01
    read[wrong] = rng.choice(["01", "02", "-"], int(wrong.sum()))
    return np.where(np.array(kind) == "no_plate", "-", read)


def _brands(rng: np.random.Generator, fleet: Fleet, cameras: Cameras, vehicle: IntArray) -> StrArray:
    read = fleet.brand[vehicle].copy()
    wrong = rng.random(len(read)) < cameras.brand_wrong
    read[wrong] = rng.choice(fleet.brand, int(wrong.sum()))
    return np.where(rng.random(len(read)) < cameras.brand_missing, "-", read)


def _arrival(rng: np.random.Generator, cameras: Cameras, gate: IntArray, true_t: FloatArray) -> FloatArray:
    """Some seconds after the passing, now and then minutes; of a silent gate at the end of its silence."""
    arrival = true_t + rng.exponential(3, len(true_t))
    slow = rng.random(len(true_t)) < 0.01
    arrival[slow] += rng.exponential(240, int(slow.sum())).clip(0, 1500)
    for silent, start, end in cameras.silent:
        held = (gate == silent) & (true_t >= start * 3600) & (true_t < end * 3600)
        arrival[held] = end * 3600 + rng.uniform(0, 20, int(held.sum()))
    return arrival
