"""Who drives: vehicles that are in one place at a time, and the true moments at which they pass gates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from etl.generate.world.roads import FloatArray, IntArray, Roads

StrArray = NDArray[np.str_]
DAY_S = 86_400
_LETTERS = tuple("ABCDEFGHJKLMNPQRSTUVWXYZ")
# Heads of plates, common ones more than once.
_HEADS = ("苏C", "苏C", "苏C", "苏A", "苏N", "皖L", "鲁D", "豫N", "京A", "沪A")
_BRANDS = (
    "大众牌", "丰田牌", "本田牌", "别克牌", "现代牌", "日产牌", "福特牌", "雪佛兰牌", "哈弗牌", "长安牌",
    "吉利牌", "比亚迪牌", "奇瑞牌", "起亚牌", "五菱牌", "东风牌", "解放牌", "江淮牌", "宝马牌", "奔驰牌",
    "奥迪牌", "特斯拉牌", "福田牌", "荣威牌",
)  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """Vehicles by index. A clone is a vehicle of its own that carries another one's plate.

    Attributes:
        plate: as painted.
        hpzl, brand: what a perfect camera reads.
        owner: index of the honest vehicle under the same plate; of an honest one its own.
        first_day, last_day: on which it drives (both included).
        trips: mean trips a day.
        pace: lognormal centre of its travel time against free flow.
    """

    plate: StrArray
    hpzl: StrArray
    brand: StrArray
    owner: IntArray
    first_day: IntArray
    last_day: IntArray
    trips: FloatArray
    pace: FloatArray

    @property
    def size(self) -> int:
        return len(self.plate)


@dataclass(frozen=True)
class Passing:
    """True passings, in no order: vehicle, gate, and seconds since the first midnight."""

    vehicle: IntArray
    gate: IntArray
    t: FloatArray


@dataclass(frozen=True)
class _Trips:
    """Trips in no order: vehicle, second at which it begins, route, and its time against free flow."""

    vehicle: IntArray
    start: FloatArray
    route: IntArray
    factor: FloatArray


@dataclass(frozen=True)
class _Whereabouts:
    """By vehicle: town where it is, second from which it may set off again, and town it often drives to."""

    town: IntArray
    free: FloatArray
    home: IntArray


_Arrays = TypeVar("_Arrays", Fleet, _Trips)


def make_fleet(rng: np.random.Generator, honest: int, days: int, cloned_share: float) -> Fleet:
    """Honest vehicles with plates from blocks that are dense or sparse, and clones of some of them.

    The last day is the one to be judged: most clones drive on it, some on days before it too.
    """
    plates = _plates(rng, honest)
    brand_weight = rng.dirichlet(np.full(len(_BRANDS), 0.8))
    brand = rng.choice(_BRANDS, honest, p=brand_weight)
    truck = rng.random(honest) < rng.uniform(0.08, 0.25)
    green = np.char.str_len(plates) == 8
    own = Fleet(
        plate=plates,
        hpzl=np.where(green, np.where(truck, "51", "52"), np.where(truck, "01", "02")),
        brand=brand,
        owner=np.arange(honest),
        first_day=np.zeros(honest, np.int64),
        last_day=np.full(honest, days - 1),
        trips=rng.gamma(2.0, rng.uniform(0.7, 1.3), honest),
        pace=rng.normal(0.1, 0.07, honest) + 0.15 * truck,
    )
    clones = _clones(rng, own, days, max(3, round(honest * cloned_share)), brand_weight)
    return _joined([own, clones])


def _joined(parts: Sequence[_Arrays]) -> _Arrays:
    kind = type(parts[0])
    return kind(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(kind)))


def _clones(rng: np.random.Generator, own: Fleet, days: int, count: int, brand_weight: FloatArray) -> Fleet:
    """Vehicles under plates of others; some look like their owners, some have driven for days."""
    # The plate of a car that drives much is the one to copy; of one that stands, nothing could be found.
    cloned = rng.choice(own.size, count, replace=False, p=own.trips / own.trips.sum())
    same = rng.random(count) < rng.uniform(0.3, 0.6)
    other = rng.choice(_BRANDS, count, p=brand_weight)
    long_run = rng.random(count) < 0.3
    first = np.where(long_run, rng.integers(0, days, count), days - 1)
    # Now and then a clone was there before and is no more: the history holds it, the judged day does not.
    last = np.where(long_run & (rng.random(count) < 0.2), np.maximum(first, days - 2), days - 1)
    return Fleet(
        plate=own.plate[cloned],
        hpzl=own.hpzl[cloned],
        brand=np.where(same, own.brand[cloned], other),
        owner=cloned,
        first_day=first,
        last_day=last,
        trips=np.maximum(rng.gamma(3.0, 1.0, count), 0.8),
        pace=rng.normal(0.1, 0.07, count),
    )


def _plates(rng: np.random.Generator, count: int) -> StrArray:
    """Plates of a few issuing offices; each office fills blocks of ten thousand numbers."""
    density = rng.uniform(0.02, 0.35)
    blocks = max(3, int(count * 1.15 / (10_000 * density)))
    found: dict[str, None] = {}
    while blocks > 0 or len(found) < count:
        found |= dict.fromkeys(_block(rng, density))
        blocks -= 1
    return rng.permutation(np.array(list(found)))[:count]


def _block(rng: np.random.Generator, density: float) -> Iterator[str]:
    """Plates of one form, with ``density`` of the numbers that a block has."""
    head, form = str(rng.choice(_HEADS)), rng.random()
    numbers = rng.permutation(10_000)[: int(10_000 * density)]
    first, second = rng.choice(_LETTERS), rng.choice(_LETTERS)
    for number in numbers:
        digits = f"{number:04d}"
        if form < 0.4:
            yield f"{head}{first}{digits}"
        elif form < 0.6:
            yield f"{head}{rng.integers(10)}{digits}"
        elif form < 0.8:
            yield f"{head}{digits[0]}{first}{digits[1:]}"
        elif form < 0.9:
            yield f"{head}{digits[:3]}{first}{second}"
        else:
            yield f"{head}D{digits[0]}{digits}"


def drive(rng: np.random.Generator, roads: Roads, fleet: Fleet, days: int) -> Passing:
    """Each vehicle from town to town, one trip after the other; the next begins where the last one ended."""
    town, free = rng.integers(0, roads.towns, fleet.size), np.zeros(fleet.size)
    now = _Whereabouts(town, free, rng.zipf(1.6, fleet.size) % roads.towns)
    jam = 1 + rng.uniform(0.05, 0.4) * np.exp(-((np.arange(24) - np.array([[8], [18]])) ** 2) / 3).sum(0)
    trips: list[_Trips] = []
    for day in range(days):
        driving = (fleet.first_day <= day) & (day <= fleet.last_day)
        left = np.where(driving, rng.poisson(fleet.trips), 0)
        wake = day * DAY_S + rng.beta(2, 3, fleet.size) * 15 * 3600 + rng.uniform(0, 7200)
        now.free[:] = np.maximum(now.free, wake)
        while len(going := np.flatnonzero((left > 0) & (now.free < (day + 1) * DAY_S))):
            left[going] -= 1
            trips.append(_set_off(rng, roads, fleet, jam, now, going))
    return _passings(rng, roads, _joined(trips))


def _set_off(
    rng: np.random.Generator, roads: Roads, fleet: Fleet, jam: FloatArray, now: _Whereabouts, going: IntArray
) -> _Trips:
    """One trip for each vehicle of ``going``; ``now`` moves on to its end and the stay after it."""
    to = np.where(rng.random(len(going)) < 0.4, now.home[going], rng.integers(0, roads.towns, len(going)))
    route, start = now.town[going] * roads.towns + to, now.free[going]
    factor = np.exp(fleet.pace[going] + rng.normal(0, 0.06, len(going)))
    factor *= jam[(start // 3600 % 24).astype(int)]
    factor = np.maximum(factor, 0.78)
    stay = rng.lognormal(np.log(5400), 0.9, len(going))
    # A little more than the trip takes, so that stops on the way still end before the next one.
    now.free[going] = start + roads.route_hours[route] * 3600 * factor * 1.1 + 3000 + stay
    now.town[going] = to
    return _Trips(going, start, route, factor)


def _passings(rng: np.random.Generator, roads: Roads, trips: _Trips) -> Passing:
    """The gates of each trip, with the moments at which it passes them."""
    count, first = len(trips.route), roads.starts[trips.route]
    length = roads.starts[trips.route + 1] - first
    trip = np.repeat(np.arange(count), length)
    within = np.arange(len(trip)) - np.repeat(np.cumsum(length) - length, length)
    entry = first[trip] + within
    hours = roads.hours_of[entry]
    # Pieces of the way differ a little, and some trips rest once; neither makes a vehicle go back in time.
    piece = np.where(within == 0, hours, np.diff(hours, prepend=0.0))
    piece = piece * trips.factor[trip] * np.exp(rng.normal(0, 0.04, len(trip)))
    rests = rng.random(count) < 0.12
    where = (rng.random(count) * np.maximum(length, 1)).astype(int)
    rest = np.where(rests, rng.uniform(300, 2400, count), 0.0)
    total = np.cumsum(piece * 3600 + np.where(within == where[trip], rest[trip], 0.0))
    before = np.concatenate([[0.0], total])[np.cumsum(length) - length]
    return Passing(trips.vehicle[trip], roads.gate_of[entry], trips.start[trip] + total - before[trip])
