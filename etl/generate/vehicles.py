"""What each vehicle carries: one plate that no other has, one plate type, one brand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from etl.generate.profile import TrafficProfile

StrArray = NDArray[np.str_]
DIGITS = np.array(list("0123456789"))
LETTERS = np.array(list("ABCDEFGHJKLMNPQRSTUVWXYZ"))
TRUCKS = ("福田", "一汽", "东风", "江淮", "汉江", "江铃", "金杯", "依维柯", "大通")
BUSES = ("宇通", "海格", "依维柯", "金龙")
GREEN = ("比亚迪", "荣威", "传祺", "北汽", "吉利", "奇瑞", "五菱", "江淮")


@dataclass(frozen=True, slots=True)
class Vehicles:
    """Parallel arrays by vehicle number."""

    plate: StrArray
    plate_type: StrArray
    brand: StrArray


def make_vehicles(profile: TrafficProfile, count: int, rng: np.random.Generator) -> Vehicles:
    """Draws ``count`` vehicles by the shares of the export."""
    types = _draw(profile.plate_types, count, rng)
    prefix = _draw(profile.prefixes, count, rng)
    plate = _plates(prefix, types, rng)
    while (again := repeated(plate)).any():
        plate[again] = _plates(prefix[again], types[again], rng)
    return Vehicles(plate, types, _brands(profile, types, rng))


def repeated(plate: StrArray) -> NDArray[np.bool_]:
    """For each plate whether the same one stands further up.

    >>> repeated(np.array(["a", "b", "a", "a", "c"])).tolist()
    [False, False, True, True, False]
    """
    # Codes count up in order of first appearance, so a plate is new where its code passes all before it;
    # sorting millions of texts would take most of the whole time.
    # Large strings, as plain ones would be cut into chunks from some millions of plates on.
    codes = pa.array(plate, pa.large_string()).dictionary_encode().indices.to_numpy()
    before = np.maximum.accumulate(np.concatenate([[-1], codes[:-1]])) if len(codes) else codes
    again: NDArray[np.bool_] = codes <= before
    return again


def _draw(share: dict[str, float], count: int, rng: np.random.Generator) -> StrArray:
    weight = np.array(list(share.values()))
    return np.array(list(share))[rng.choice(len(weight), count, p=weight / weight.sum())]


def _plates(prefix: StrArray, types: StrArray, rng: np.random.Generator) -> StrArray:
    """A plate for each vehicle: new-energy ones have eight characters, all others seven."""
    count = len(prefix)
    marks = DIGITS[rng.integers(0, 10, (count, 6))]
    # Ordinary serials hold up to two letters; most letters stand early, as on the road.
    for chance in (0.75, 0.35):
        rows = np.flatnonzero(rng.random(count) < chance)
        marks[rows, np.minimum(rng.geometric(0.45, len(rows)) - 1, 4)] = LETTERS[
            rng.integers(0, 24, len(rows))
        ]
    green = np.array(["D", "F"])[(rng.random(count) < 0.1).astype(int)]
    digits = DIGITS[rng.integers(0, 10, (count, 5))]
    large = np.char.add(join_marks(digits), green)
    # The rules allow one letter more on a small new-energy plate.
    rows = np.flatnonzero(rng.random(count) < 0.3)
    digits[rows, 0] = LETTERS[rng.integers(0, 24, len(rows))]
    small = np.char.add(green, join_marks(digits))
    serial = np.where(types == "52", small, np.where(types == "51", large, join_marks(marks[:, :5])))
    return np.char.add(prefix, serial)


def join_marks(marks: StrArray) -> StrArray:
    """Single characters, shape (plates, marks), as one text for each plate."""
    return np.ascontiguousarray(marks).view(f"U{marks.shape[1]}").ravel()


def _brands(profile: TrafficProfile, types: StrArray, rng: np.random.Generator) -> StrArray:
    """Trucks are seldom a 大众牌: the share of a brand depends on the kind of plate."""
    names = np.array(list(profile.brands))
    share = np.array(list(profile.brands.values()))
    heavy = np.array([name.startswith(TRUCKS + BUSES) for name in names])
    green = np.array([name.startswith(GREEN) for name in names])
    weights = {
        "01": share * np.where(heavy, 12, 0.15),
        "51": share * np.where(heavy, 8, 0.1),
        "52": share * np.where(green, 6, 0.5),
        "13": share * np.where(heavy, 5, 0.3),
    }
    brand = np.empty(len(types), dtype=names.dtype)
    for kind in np.unique(types):
        rows = np.flatnonzero(types == kind)
        weight = weights.get(str(kind), share * np.where(heavy, 0.2, 1))
        brand[rows] = names[rng.choice(len(names), len(rows), p=weight / weight.sum())]
    return brand
