"""Clocks of gates that stand minutes apart: where one is off by more than that, who follows whom is wrong."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from kakou.detection.clock_modes import clocks_apart
from kakou.detection.clock_votes import sure_ways, votes_of
from kakou.detection.clocks import BLOCK_S, Clocks, clocks_by_blocks, constant_clocks, voted_clocks
from kakou.detection.first_clocks import daily_clocks, first_clocks
from kakou.detection.knowledge import Knowledge, learn_knowledge

GATES = tuple(f"R{number:02d}" for number in range(12))
WAY_S, DAY_S = 150, 86_400
ONE_WAY = 5
NOON = 4 * DAY_S + 12 * 3600


def row(days: int, ahead: np.ndarray, seed: int = 1, first_day: int = 0) -> pl.DataFrame:
    """Vehicles drive a part of a row of gates, one way or the other; gate ``ONE_WAY`` sees one way only.

    Args:
        ahead: seconds that each gate is ahead, by (gate, day).
    """
    dice = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        for number in range(1_500):
            begin = (first_day + day) * DAY_S + int(dice.integers(5 * 3600, 22 * 3600))
            pace = WAY_S * float(np.exp(dice.normal(0, 0.1)))
            low, high = sorted(dice.choice(len(GATES) + 1, 2, replace=False))
            way = list(range(low, high))
            if number % 2:
                way = [gate for gate in way[::-1] if gate != ONE_WAY]
            rows += [
                (f"{day}-{number}-{gate}", f"苏C{number:04d}X", gate, begin + abs(gate - way[0]) * pace)
                for gate in way
            ]
    frame = pl.DataFrame(rows, schema=["gcxh", "hphm", "code", "t"], orient="row")
    code, t = frame["code"].to_numpy(), frame["t"].to_numpy()
    wrong = ahead[code, (t // DAY_S).astype(int) - first_day]
    return frame.with_columns(
        pl.Series("t", (t + wrong).astype(np.int64)),
        pl.col("code").cast(pl.Int64),
        pl.col("code").replace_strict(dict(enumerate(GATES)), return_dtype=pl.String).alias("kkmc"),
        pl.lit("大众牌").alias("clppxh"),
        pl.lit("02").alias("hpzl"),
    ).sort("hphm", "t", "gcxh")


def right(days: int) -> np.ndarray:
    return np.zeros((len(GATES), days))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    """Of four days, on which gate 2 is 600 s ahead, gate 7 drifts by 200 s a day, and gate 9 is 25 minutes
    behind on the third."""
    ahead = right(4)
    ahead[2] = 600
    ahead[7] = [0, 200, 400, 600]
    ahead[9, 2] = -1500
    return learn_knowledge(row(4, ahead), list(GATES))


def test_passes_heap_up_where_a_clock_is_off_whoever_was_first() -> None:
    ahead = right(1)
    ahead[3] = 900
    found = clocks_apart(row(1, ahead))
    want = ahead[found.b, 0] - ahead[found.a, 0]
    assert len(found.a) > 15 and np.abs(found.seconds - want).max() < 40
    assert ONE_WAY not in {*found.a.tolist(), *found.b.tolist()}, "one way alone says nothing"


def test_each_day_has_its_own_offset_and_a_day_that_tells_nothing_is_as_those_around() -> None:
    ahead = right(4)
    ahead[7], ahead[9, 2] = [0, 200, 400, 600], -1500
    whole = row(4, ahead)
    seldom = whole.filter((pl.col("code") != 7) | (pl.col("t") // DAY_S != 1) | (pl.col("t") % 19 == 0))
    found = daily_clocks(seldom, len(GATES))
    noons = np.arange(4) * DAY_S + DAY_S // 2
    for gate in (0, 7, 9):
        told = found.at(np.full(4, gate), noons) - found.at(np.full(4, 1), noons)
        assert np.abs(told - ahead[gate]).max() < 60


def test_one_pass_of_another_century_makes_no_million_days() -> None:
    whole = row(1, right(1))
    stray = whole[:2].with_columns(t=pl.Series([-(10**11), -(10**11) + WAY_S]), hphm=pl.lit("苏C99999"))
    found = first_clocks(pl.concat([stray, whole]), len(GATES))
    assert found.ahead.shape[2] < 400 * DAY_S // 600
    nothing = first_clocks(whole[:0], len(GATES))
    assert not nothing.ahead.any()


def test_a_history_with_wrong_clocks_teaches_the_right_ways(knowledge: Knowledge) -> None:
    for start in range(len(GATES)):
        for end in range(len(GATES)):
            ways = abs(start - end)
            passed = start < end or ONE_WAY not in (start, end)
            if ways and passed:
                assert 0.25 * ways * WAY_S < knowledge.least[start, end] < 0.95 * ways * WAY_S
    off = knowledge.constant - np.median(knowledge.constant)
    assert np.abs(off - np.array([0, 0, 600, 0, 0, 0, 0, 600, 0, 0, 0, 0])).max() < 75


def test_a_jump_of_half_an_hour_is_found_within_the_hour(knowledge: Knowledge) -> None:
    ahead = right(1)
    ahead[2], ahead[7] = 600, 650
    today = row(1, ahead, seed=2, first_day=4)
    t, code = today["t"].to_numpy(), today["code"].to_numpy()
    jumped = today.with_columns(pl.Series("t", t - np.where((code == 4) & (t > NOON), 2_000, 0)))
    jumped = jumped.sort("hphm", "t", "gcxh")
    clocks = clocks_by_blocks(
        jumped, knowledge.usual, knowledge.usual * knowledge.spread, knowledge.trips, knowledge.constant
    )

    def told(hour: float) -> float:
        moment = np.array([4 * DAY_S + hour * 3600])
        one, other = (float(clocks.at(np.array([gate]), moment)[0]) for gate in (4, 3))
        return one - other

    for hour, want in ((9, 0), (11, 0), (12.8, -2_000), (15, -2_000), (19, -2_000)):
        assert abs(told(hour) - want) < 75, hour
    around = [float(clocks.at(np.array([4]), np.array([NOON]), which)[0]) for which in (-1, 1)]
    assert abs(around[0]) < 75 and abs(around[1] + 2_000) < 75, "a pass at the jump is judged by both"


def test_who_rests_before_a_gate_is_no_jump_of_its_clock(knowledge: Knowledge) -> None:
    today = row(1, right(1), seed=3, first_day=4)
    # Two of three rest for half an hour before gate 6 on the way there, and drive straight back.
    rests = pl.col("hphm").str.slice(2, 4).cast(pl.Int64)
    late = (rests % 2 == 0) & (rests % 3 > 0) & (pl.col("code") >= 6)
    rested = today.with_columns(pl.when(late).then(pl.col("t") + 1_800).otherwise("t").alias("t"))
    ways = sure_ways(knowledge.usual, knowledge.usual * knowledge.spread, knowledge.trips)
    found, _ = voted_clocks(rested.sort("hphm", "t", "gcxh"), ways)
    assert not found.ahead.any()


def test_votes_of_one_pass_weigh_no_more_than_one(knowledge: Knowledge) -> None:
    ways = sure_ways(knowledge.usual, knowledge.usual * knowledge.spread, knowledge.trips)
    assert np.isfinite(ways[0, 2]) and np.isnan(ways[0, 11]), "far ways are not sure to a minute"
    today = row(1, right(1), seed=4)
    votes = votes_of(today, ways)
    # Each neighbour votes as before it and as behind it, and one of the two is wrong.
    assert 0 < votes.weight.sum() <= 2 * len(today) + 1e-6
    near = np.abs(votes.offset) <= 75
    assert votes.weight[near].sum() > 0.6 * votes.weight.sum() / 2
    assert not len(votes_of(today[:1], ways).t)


def test_a_block_is_the_same_whatever_lies_beyond_its_margin(knowledge: Knowledge) -> None:
    today = row(1, right(1), seed=5, first_day=4)
    arguments = knowledge.usual, knowledge.usual * knowledge.spread, knowledge.trips, knowledge.constant
    block = NOON // BLOCK_S
    near = today.filter(pl.col("t").is_between((block - 1) * BLOCK_S, (block + 2) * BLOCK_S, closed="left"))
    moments = block * BLOCK_S + 600 * np.arange(12)

    def told(passes: pl.DataFrame) -> Clocks:
        return clocks_by_blocks(passes, *arguments)

    for gate in range(len(GATES)):
        codes = np.full(12, gate)
        assert np.array_equal(told(today).at(codes, moments), told(near).at(codes, moments))
    assert constant_clocks(knowledge.constant).at(np.array([-1]), np.array([0])) == 0
