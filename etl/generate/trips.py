"""Who passes which gate when: commuters, through traffic and local vehicles, none faster than a road allows.

Only commuters and through traffic see more than one gate, and each of their trips begins at the gate where
the one before ended; so every two consecutive passes of a vehicle at different gates are one honest trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

import numpy as np
from numpy.typing import NDArray

from etl.generate.profile import TrafficProfile

IntArray = NDArray[np.int64]
DAY = 86_400
COMMUTER_SHARE, THROUGH_SHARE = 0.42, 0.08
PAIRS = 60
LONGEST_COMMUTE_SECONDS = 75 * 60
SLACK_MEAN, SLACK_MAX = 0.12, 0.55  # a trip takes the least time × (1 + slack)
ONE_OFF_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Passes:
    """Parallel arrays, sorted by time: vehicle number, gate number, seconds since 1970 in local time."""

    vehicle: IntArray
    gate: IntArray
    at: IntArray
    vehicles: int


def midnight(day: date) -> int:
    """Seconds since 1970 of local midnight, as if local time were UTC."""
    return int((datetime.combine(day, time()) - datetime(1970, 1, 1)).total_seconds())


def make_passes(
    profile: TrafficProfile, days: Sequence[date], scale: float, rng: np.random.Generator
) -> Passes:
    """Draws all passes of ``days``; ``scale`` 1 is the real amount of traffic."""
    weekend = np.array([int(day.weekday() >= 5) for day in days])
    starts = np.array([midnight(day) for day in days])
    target = profile.flow[weekend] * scale * rng.lognormal(0, 0.12, (len(days), 1, 1))
    per_day = float(target.sum()) / max(1, len(days))
    commuters = max(1, round(COMMUTER_SHARE * per_day / (4 * 0.75)))
    through = max(1, round(THROUGH_SHARE * per_day / (3 * 0.3)))
    pairs, weight = _pairs(profile)
    legs = [
        _commutes(profile, pairs, weight, commuters, starts, weekend, rng),
        _through_trips(profile, pairs, weight, through, commuters, starts, rng),
    ]
    vehicle, gate, at = (np.concatenate(parts) for parts in zip(*legs, strict=True))
    day_of = np.searchsorted(starts, at, "right") - 1
    inside = (day_of >= 0) & (at - starts[day_of] < DAY)
    vehicle, gate, at, day_of = vehicle[inside], gate[inside], at[inside], day_of[inside]
    seen = np.zeros(target.shape)
    np.add.at(seen, (day_of, gate, (at - starts[day_of]) // 3600), 1)
    rest = rng.poisson(np.clip(target - seen, 0, None))
    local_vehicle, local_gate, local_at, count = _locals(rest, starts, commuters + through, rng)
    vehicle, gate, at = (
        np.concatenate(two) for two in ((vehicle, local_vehicle), (gate, local_gate), (at, local_at))
    )
    order = np.lexsort((gate, vehicle, at))
    return Passes(vehicle[order], gate[order], at[order], count)


def _pairs(profile: TrafficProfile) -> tuple[IntArray, NDArray[np.float64]]:
    """The pairs of gates that people travel between, busy and near ones first."""
    busy = profile.flow.sum(axis=(0, 2))
    pull = np.sqrt(np.outer(busy, busy)) / np.maximum(profile.km, 5.0)
    slow = np.maximum(profile.least_seconds, profile.least_seconds.T) > LONGEST_COMMUTE_SECONDS
    pull[slow | np.tri(len(pull), dtype=bool)] = 0
    best = np.argsort(pull, axis=None)[::-1][:PAIRS]
    best = best[pull.ravel()[best] > 0]
    strength = np.sqrt(pull.ravel()[best])
    return np.stack(np.unravel_index(best, pull.shape), axis=1), strength / strength.sum()


def _duration(profile: TrafficProfile, a: IntArray, b: IntArray, rng: np.random.Generator) -> IntArray:
    slack = np.minimum(rng.exponential(SLACK_MEAN, len(a)), SLACK_MAX)
    seconds: IntArray = np.ceil(profile.least_seconds[a, b] * (1 + slack)).astype(np.int64)
    return seconds


def _departure(
    profile: TrafficProfile,
    a: IntArray,
    b: IntArray,
    weekend: IntArray,
    hours: range,
    rng: np.random.Generator,
) -> IntArray:
    """A second of the day at which each trip begins: in hours when both of its gates are busy."""
    arrival = (np.arange(24)[None, :] + (profile.least_seconds[a, b] / 3600 + 0.5)[:, None]).astype(int) % 24
    chance = profile.flow[weekend, a] * np.take_along_axis(profile.flow[weekend, b], arrival, axis=1) + 1e-6
    chance = chance[:, list(hours)].cumsum(axis=1)
    drawn = (rng.random(len(a))[:, None] * chance[:, -1:] > chance).sum(axis=1)
    seconds: IntArray = (hours.start + drawn) * 3600 + rng.integers(0, 3600, len(a))
    return seconds


def _commutes(
    profile: TrafficProfile, pairs: IntArray, weight: NDArray[np.float64], count: int, starts: IntArray,
    weekend: IntArray, rng: np.random.Generator,
) -> tuple[IntArray, IntArray, IntArray]:  # fmt: skip
    """There in the morning and back later the same day; 4 passes on each active day."""
    home = pairs[rng.choice(len(pairs), count, p=weight)]
    home = np.where(rng.random(count)[:, None] < 0.5, home, home[:, ::-1])
    who, day = np.nonzero(rng.random((count, len(starts))) < np.where(weekend, 0.4, 0.88)[None, :])
    a, b, rest_day = home[who, 0], home[who, 1], weekend[day]
    out_at = _departure(profile, a, b, rest_day, range(5, 13), rng)
    there_at = out_at + _duration(profile, a, b, rng)
    back_at = np.maximum(_departure(profile, b, a, rest_day, range(13, 22), rng), there_at + 1200)
    home_at = back_at + _duration(profile, b, a, rng)
    times = np.concatenate([out_at, there_at, back_at, home_at]) + np.tile(starts[day], 4)
    return np.tile(who, 4), np.concatenate([a, b, b, a]), times


def _through_trips(
    profile: TrafficProfile, pairs: IntArray, weight: NDArray[np.float64], count: int, first_vehicle: int,
    starts: IntArray, rng: np.random.Generator,
) -> tuple[IntArray, IntArray, IntArray]:  # fmt: skip
    """Three gates in a row, at any hour, every few days; each time the other way round."""
    middle = pairs[rng.choice(len(pairs), count, p=weight)]
    a, b = middle[:, 0], middle[:, 1]
    # The third gate is the one that adds least to the way, so that the route is no zigzag.
    detour = profile.least_seconds[b] + np.where(profile.least_seconds[b] == 0, np.inf, 0)
    detour[np.arange(count), a] = np.inf
    c = np.argsort(detour, axis=1)[np.arange(count), rng.integers(0, 3, count)]
    who, day = np.nonzero((np.arange(len(starts))[None, :] + rng.integers(0, 3, count)[:, None]) % 3 == 0)
    turned = (day // 3) % 2 == 1
    first, last = np.where(turned, c[who], a[who]), np.where(turned, a[who], c[who])
    via = b[who]
    kind = np.zeros(len(who), dtype=np.int64)
    at = _departure(profile, first, via, kind, range(0, 24), rng) + starts[day]
    via_at = at + _duration(profile, first, via, rng)
    last_at = via_at + _duration(profile, via, last, rng)
    return (
        np.tile(who + first_vehicle, 3),
        np.concatenate([first, via, last]),
        np.concatenate([at, via_at, last_at]),
    )


def _locals(
    rest: NDArray[np.int64], starts: IntArray, first_vehicle: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray, IntArray, int]:
    """Vehicles that only ever pass one gate: some once, some again and again."""
    day, gate, hour = (np.repeat(axis, rest.ravel()) for axis in (i.ravel() for i in np.indices(rest.shape)))
    at = starts[day] + hour * 3600 + rng.integers(0, 3600, len(day))
    pool = np.maximum(1, rest.sum(axis=(0, 2)) // (2 * max(1, rest.shape[0])))
    offset = first_vehicle + np.concatenate([[0], np.cumsum(pool)])
    again = offset[gate] + (rng.random(len(gate)) ** 1.5 * pool[gate]).astype(np.int64)
    once = rng.random(len(gate)) < ONE_OFF_SHARE
    vehicle = np.where(once, offset[-1] + np.cumsum(once) - 1, again)
    return vehicle, gate, at, int(offset[-1] + once.sum())
