"""How far each gate's clock is ahead of the others', over time.

A trip that takes longer than usual may be a slow driver. When all trips into a gate take five minutes longer
and all out of it five minutes less, its clock is five minutes ahead; when all of them take longer, traffic is
slow. So the offsets of all gates and the slowness of traffic are estimated together, as those that leave the
least to be explained, with few clocks changed: sums of absolute values, which some odd trips cannot move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits

from kakou.detection.clock_votes import jumps_of, sure_ways, votes_of
from kakou.detection.trips import trips_of, without_repeats

STEP_S: Final = 600
# Offsets are estimated for a block at a time, from the passes as far as this from it.
BLOCK_S, MARGIN_S = 2 * 3600, 2 * 3600
MOST_BLOCKS: Final = 4_000
# About so many trips of a gate are taken together: a jump is known when most of them came after it.
TOGETHER: Final = 10
_LEAST_MEMORY_S, _MOST_MEMORY_S = 900.0, 7200.0
_FORGOTTEN: Final = 2.5
# The estimate after a moment is that of so many steps later at least, and at most.
STEPS, _MOST_STEPS = 3, 18
# An offset smaller than this cannot be told from traffic, and does no harm.
LEAST_OFFSET_S: Final = 20.0
UNUSUAL_S: Final = 3600
WAYS: Final = (-1, 0, 1)
_ROUNDS: Final = 8
FINE_S: Final = 10.0
# How strongly a clock stays what it was a step ago: as one trip of this doubt says.
STAYS_S: Final = 60.0
_SLOW_DOUBT: Final = 0.1
# What many passes have voted for is refined by no more than this.
_FINE_MOST_S: Final = 120.0
_SET_BACK_STEPS: Final = 3
_PASSES: Final = 3
_VOTED: Final = 3
# Of a longer history one vehicle of several votes; more say nothing new, and take memory.
_MOST_VOTERS: Final = 500_000
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clocks:
    """Seconds that each gate is ahead, by (which, gate code, step of ``STEP_S`` since ``begin``).

    ``doubt`` is the error of the offset of a gate that is to be expected, in seconds, by (gate, step).
    ``which`` is -1, 0 or 1: by the trips before that moment, around it, and after it. Where a clock jumps,
    the three differ.
    """

    begin: int
    ahead: Floats
    doubt: Floats

    def at(self, codes: Ints, times: npt.NDArray[np.generic], which: int = 0) -> Floats:
        """Offsets at stamped times; 0 for a gate that is not known."""
        found = self.raw(codes, times, which)
        if which == 1:
            # A clock that was set back shows some minutes twice. In them the trips before hide those after,
            # whose offset shows as soon as the minutes are over.
            for ahead in range(1, _SET_BACK_STEPS + 1):
                later = self.raw(codes, times + STEP_S * ahead, which)
                found = np.where(-later > STEP_S * (ahead - 1), np.minimum(found, later), found)
        return found

    def doubt_at(self, codes: Ints, times: npt.NDArray[np.generic]) -> Floats:
        """Errors to be expected at stamped times, of gates that are known."""
        return self.doubt[codes, self._step(times)]

    def _step(self, times: npt.NDArray[np.generic]) -> Ints:
        steps = np.clip((times - self.begin) // STEP_S, 0, self.ahead.shape[2] - 1)
        return np.asarray(steps, dtype=np.int64)

    def raw(self, codes: Ints, times: npt.NDArray[np.generic], which: int) -> Floats:
        """Offsets of the step of each time."""
        known = codes >= 0
        return np.where(known, self.ahead[which + 1, np.where(known, codes, 0), self._step(times)], 0.0)


def no_clocks(gates: int) -> Clocks:
    """Every clock is right."""
    return constant_clocks(np.zeros(max(gates, 1)))


def constant_clocks(ahead: Floats) -> Clocks:
    """Each clock is off by the same all the time."""
    ahead = ahead if len(ahead) else np.zeros(1)  # an unknown gate looks at the first one, too
    return Clocks(0, np.repeat(ahead[None, :, None], len(WAYS), axis=0), np.zeros((len(ahead), 1)))


def set_right(whole: pl.DataFrame, clocks: Clocks) -> pl.DataFrame:
    """Passes (``hphm``, ``code``, ``t``, ``gcxh``) with right times, and in the order of these."""
    t = whole["t"].to_numpy()
    right = np.rint(t - clocks.at(whole["code"].to_numpy(), t)).astype(np.int64)
    return whole.with_columns(pl.Series("t", right)).sort("hphm", "t", "gcxh", maintain_order=True)


def clocks_of(whole: pl.DataFrame, usual: Floats, spread: Floats, trips: Ints, clocks: Clocks) -> Clocks:
    """What each clock was ahead, from the passes themselves.

    Between two gates that are close a wrong clock swaps which comes first, so the trips are taken again from
    the times that the last estimate sets right.

    Args:
        whole: ``hphm``, ``code`` (0 or more), ``t``, ``gcxh``.
        usual, spread: as for ``estimate_clocks``.
        clocks: what is known before.
    """
    # Thousands of small systems: threads of their own wait for each other, on a busy machine for minutes,
    # and the last bits should not depend on how many there are.
    with threadpool_limits(1, user_api="blas"):
        ways = sure_ways(usual, spread, trips)
        sure = no_clocks(len(usual))
        for _ in range(_VOTED):
            changed, sure = voted_clocks(set_right(whole, clocks), ways)
            if not changed.ahead.any():
                break
            clocks = added(clocks, changed)
        voted = clocks
        for _ in range(_PASSES):
            changed = estimate_clocks(trips_of(set_right(whole, clocks)), usual, spread)
            clocks = _near(added(clocks, changed), voted, sure)
    return clocks


def _near(clocks: Clocks, voted: Clocks, sure: Clocks) -> Clocks:
    """The same, but no further than ``_FINE_MOST_S`` from what many votes speak for."""
    _, gates, steps = clocks.ahead.shape
    codes = np.repeat(np.arange(gates), steps)
    times = np.tile(clocks.begin + STEP_S * (np.arange(steps) + 0.5), gates)
    found = []
    for which, ahead in zip(WAYS, clocks.ahead, strict=True):
        at = voted.raw(codes, times, which)
        held = sure.raw(codes, times - at, which).reshape(gates, steps) > 0
        at = at.reshape(gates, steps)
        found.append(np.where(held, np.clip(ahead, at - _FINE_MOST_S, at + _FINE_MOST_S), ahead))
    return replace(clocks, ahead=np.stack(found))


def clocks_by_blocks(
    whole: pl.DataFrame, usual: Floats, spread: Floats, trips: Ints, constant: Floats
) -> Clocks:
    """As ``clocks_of``, each block of time from the passes within ``MARGIN_S`` of it and no others.

    So what the stream, which soon forgets, and a look at the whole day find is the same.
    """
    if whole.is_empty():
        return constant_clocks(constant)
    numbers = (whole["t"] // BLOCK_S).unique().sort().to_list()
    blocks = {n: clocks_of_block(whole, n, usual, spread, trips, constant) for n in numbers}
    return joined(blocks, constant)


def clocks_of_block(
    whole: pl.DataFrame, block: int, usual: Floats, spread: Floats, trips: Ints, constant: Floats
) -> Clocks:
    """What the clocks were ahead from ``block * BLOCK_S`` on; else as ``clocks_of``.

    Args:
        whole: ``hphm``, ``kkmc``, ``code`` (0 or more), ``t``, ``gcxh`` by (plate, time, id).
    """
    begin, t = block * BLOCK_S, pl.col("t")
    near = without_repeats(whole.filter(t >= begin - MARGIN_S, t < begin + BLOCK_S + MARGIN_S))
    return _cut(clocks_of(near, usual, spread, trips, constant_clocks(constant)), len(constant), begin)


def with_codes(clocks: Clocks, old: Sequence[str], new: Sequence[str], constant: Floats) -> Clocks:
    """The same by other gate codes; a gate that was not known is off by what it always is."""
    code = {gate: at for at, gate in enumerate(old)}
    at = np.array([code.get(gate, -1) for gate in new], dtype=np.int64)
    there = at >= 0
    ahead = np.repeat(constant[None, : len(new), None], len(WAYS), axis=0).repeat(
        clocks.ahead.shape[2], axis=2
    )
    doubt = np.zeros((len(new), clocks.ahead.shape[2]))
    ahead[:, there], doubt[there] = clocks.ahead[:, at[there]], clocks.doubt[at[there]]
    return Clocks(clocks.begin, ahead, doubt)


def joined(blocks: Mapping[int, Clocks], constant: Floats) -> Clocks:
    """One estimate from those of blocks; where one is missing, what each gate always is ahead."""
    if not blocks:
        return constant_clocks(constant)
    # One pass from another century must not make a million blocks between it and now.
    last = max(blocks)
    first = min(block for block in blocks if block > last - MOST_BLOCKS)
    always = constant_clocks(constant)
    every = [
        blocks.get(number) or _cut(always, len(constant), number * BLOCK_S)
        for number in range(first, last + 1)
    ]
    ahead = np.concatenate([one.ahead for one in every], axis=2)
    return Clocks(first * BLOCK_S, ahead, np.concatenate([one.doubt for one in every], axis=1))


def _cut(clocks: Clocks, gates: int, begin: int) -> Clocks:
    """The block that begins then."""
    moments = begin + STEP_S * (np.arange(BLOCK_S // STEP_S) + 0.5)
    codes, times = np.repeat(np.arange(gates), len(moments)), np.tile(moments, gates)
    shape = gates, len(moments)
    ahead = np.stack([clocks.raw(codes, times, which).reshape(shape) for which in WAYS])
    return Clocks(begin, ahead, clocks.doubt_at(codes, times).reshape(shape))


def added(known: Clocks, changed: Clocks) -> Clocks:
    """Both offsets together; those of ``changed`` are by times that ``known`` has set right."""
    ways, gates, steps = changed.ahead.shape
    # The steps of stamped times: a little wider, as right times lie within the offsets of them.
    margin = int(np.abs(known.ahead).max() // STEP_S) + 1
    begin = changed.begin - margin * STEP_S
    moments = begin + STEP_S * (np.arange(steps + 2 * margin) + 0.5)
    codes = np.repeat(np.arange(gates), len(moments))
    times = np.tile(moments, gates)
    found = []
    for which in range(-1, ways - 1):
        first = known.raw(codes, times, which)
        found.append((first + changed.raw(codes, times - first, which)).reshape(gates, len(moments)))
    doubt = np.repeat(changed.doubt[:, :1], len(moments), axis=1)
    return Clocks(begin, np.stack(found), doubt)


def voted_clocks(whole: pl.DataFrame, ways: Floats) -> tuple[Clocks, Clocks]:
    """What clocks have jumped by, from all passes near in time; 0 where they have not (``clock_votes.py``).

    Args:
        whole: by (plate, time).
        ways: of ``sure_ways``.

    Returns:
        the offsets; and 1 as their offset where many votes speak for them, else 0.
    """
    gates = len(ways)
    whole = whole.filter((pl.col("t") - pl.col("t").median()).abs() <= MOST_BLOCKS * BLOCK_S // 2)
    shown = 1 + len(whole) // _MOST_VOTERS
    if shown > 1:
        whole = whole.filter(pl.col("hphm").rle_id() % shown == 0)
    votes = votes_of(whole, ways)
    if not len(votes.t):
        return no_clocks(gates), no_clocks(gates)
    begin = int(votes.t.min()) // STEP_S * STEP_S
    steps = int((votes.t.max() - begin) // STEP_S) + 1
    passes = np.bincount(whole["code"].to_numpy(), minlength=gates)
    memory = np.clip(TOGETHER * steps * STEP_S / np.maximum(passes, 1), _LEAST_MEMORY_S, _MOST_MEMORY_S)
    after, sure = (
        np.concatenate([one, np.repeat(one[-1:], _MOST_STEPS, axis=0)])
        for one in jumps_of(votes, memory, begin, steps, STEP_S)
    )
    none = np.zeros(gates)
    return _shown(after, memory, begin, none), _shown(sure.astype(np.float64), memory, begin, none)


def estimate_clocks(trips: pl.DataFrame, usual: Floats, spread: Floats) -> Clocks:
    """Estimates the offsets over time, each step from the trips that ended in it and shortly before.

    Args:
        trips: as ``trips.trips_of`` gives them.
        usual: median seconds by (from, to) between right clocks, NaN where it is not known.
        spread: scale of the seconds around it, NaN likewise.
    """
    gates = len(usual)
    start, end = trips["start"].to_numpy(), trips["end"].to_numpy()
    t_end = trips["t_end"].to_numpy()
    way = usual[start, end]
    late = (t_end - trips["t_start"].to_numpy()) - way
    scale = spread[start, end]
    # Far off says nothing about a clock: a rest, another trip, another vehicle.
    good = np.isfinite(late) & (np.abs(late) < UNUSUAL_S) & (scale < 600)
    if not good.any():
        return no_clocks(gates)
    order = np.flatnonzero(good)[np.argsort(t_end[good], kind="stable")]
    start, end, late, way, t_end = start[order], end[order], late[order], way[order], t_end[order]
    scale = scale[order] + 5.0
    begin = int(t_end[0]) // STEP_S * STEP_S
    steps = int((t_end[-1] - begin) // STEP_S) + 1
    bounds = np.searchsorted(t_end, begin + STEP_S * np.arange(steps + 1))
    memory, doubt = _pace_of(start, end, scale, gates, steps * STEP_S)
    kept = np.maximum(memory[start], memory[end])  # a trip tells of its rarer gate for long
    known = np.empty((steps + _MOST_STEPS, gates))
    now: Floats = np.zeros(gates)
    for step in range(steps):
        part = np.arange(bounds[max(0, step - _MOST_STEPS + 1)], bounds[step + 1])
        age = (begin + (step + 1) * STEP_S - t_end[part]) / kept[part]
        part, weight = part[age < _FORGOTTEN], np.exp(-age[age < _FORGOTTEN])
        now = _together(start[part], end[part], late[part], way[part], scale[part] / weight, now)
        now = now - float(np.median(now))  # only differences tell; most clocks are right
        known[step] = now
    known[steps:] = now
    known[np.abs(known) < LEAST_OFFSET_S] = 0.0
    return _shown(known, memory, begin, doubt)


def _shown(known: Floats, memory: Floats, begin: int, doubt: Floats) -> Clocks:
    """Offsets before, around and after each step, from those that were known at its end; ``known`` has
    ``_MOST_STEPS`` more than are shown."""
    steps, gates = len(known) - _MOST_STEPS, known.shape[1]
    later = np.clip(np.ceil(memory / STEP_S).astype(int) + 1, STEPS, _MOST_STEPS)
    at = np.arange(steps)[:, None]
    gate = np.arange(gates)[None, :]
    shown = [known[at, gate], known[at + later // 2, gate], known[at + later, gate]]
    return Clocks(begin, np.stack([one.T for one in shown]), np.repeat(doubt[:, None], steps, axis=1))


def _pace_of(start: Ints, end: Ints, scale: Floats, gates: int, seconds: int) -> tuple[Floats, Floats]:
    """Seconds over which the trips of each gate are taken together, and how sure its offset is then."""
    trips = np.bincount(start, minlength=gates) + np.bincount(end, minlength=gates)
    memory = np.clip(TOGETHER * seconds / np.maximum(trips, 1), _LEAST_MEMORY_S, _MOST_MEMORY_S)
    scales = np.bincount(start, 1 / scale, gates) + np.bincount(end, 1 / scale, gates)
    usual = trips / np.maximum(scales, 1e-9)
    return memory, np.where(trips > 0, usual / np.sqrt(TOGETHER), 0.0)


def _together(start: Ints, end: Ints, late: Floats, way: Floats, scale: Floats, before: Floats) -> Floats:
    """Offsets, and one slowness for all, that leave the sum of what is left over and of what has changed as
    small as can be; by least squares whose weights are set anew each round."""
    gates = len(before)
    ahead, slow = before.copy(), 0.0
    system, force = np.zeros((gates + 1, gates + 1)), np.zeros(gates + 1)
    for _ in range(_ROUNDS):
        left = np.abs(late - (ahead[end] - ahead[start]) - slow * way)
        weight = 1 / (scale * np.maximum(left, FINE_S))
        stays = 1 / (STAYS_S * np.maximum(np.abs(ahead - before), FINE_S))
        pairs = np.bincount(start * gates + end, weight, gates * gates).reshape(gates, gates)
        pairs = pairs + pairs.T
        system[:gates, :gates] = np.diag(pairs.sum(axis=1) + stays) - pairs
        mixed = weight * way
        system[:gates, gates] = np.bincount(end, mixed, gates) - np.bincount(start, mixed, gates)
        system[gates, :gates] = system[:gates, gates]
        system[gates, gates] = (mixed * way).sum() + 1 / _SLOW_DOUBT**2
        drawn = weight * late
        force[:gates] = np.bincount(end, drawn, gates) - np.bincount(start, drawn, gates) + stays * before
        force[gates] = (mixed * late).sum()
        solved = np.linalg.solve(system, force).astype(np.float64)
        ahead, slow = solved[:gates], float(solved[gates])
    return ahead
