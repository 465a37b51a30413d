"""Where nearly all who pass two gates have stayed between them, those who drive through tell the way."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, WAY_S, Row, drive, frame

from kakou.detection.driven import driven_in
from kakou.detection.knowledge import Knowledge, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.past import PastOfPasses
from kakou.detection.replay import replay
from kakou.detection.rules import Limits, RuleSettings

A, B, C, D = range(4)
SPREAD = 0.12


def market(days: int, through: float, seed: int = 1) -> list[Row]:
    """There and back over all gates; between B and C is a market, where all but a share ``through`` stay for
    twenty minutes to two hours."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        for number in range(300):
            pace = float(np.exp(rng.normal(0, 0.1)))
            begin = day * DAY_S + 6 * 3600 + int(rng.integers(0, 8 * 3600))
            plate = f"苏C{number:03d}{number % 7}X"
            for way in ("ABCD", "DCBA"):
                stay = 0 if rng.random() < through else int(rng.integers(1200, 7200))
                trip = drive(plate, begin, way, pace=pace)
                rows += trip[:2] + [(g, k, p, t + stay, make) for g, k, p, t, make in trip[2:]]
                begin += 8 * 3600
    return rows


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    return frame(market(4, through=0.04))


@pytest.fixture(scope="module")
def knowledge(history: pl.DataFrame) -> Knowledge:
    return learn_knowledge(history, list(GATES))


def test_who_drives_through_is_no_clone(knowledge: Knowledge, history: pl.DataFrame) -> None:
    assert knowledge.usual[B, C] > 2 * WAY_S, "nearly all stay"
    for start, end, ways in ((B, C, 1), (C, B, 1), (A, D, 3), (D, A, 3)):
        assert 0.3 * ways * WAY_S < knowledge.least[start, end] < 0.8 * ways * WAY_S
    rules, _ = rules_of(REGISTRY, knowledge, RuleSettings(Limits()))
    today = [(g, k, p, t + 5 * DAY_S, make) for g, k, p, t, make in market(1, through=1.0, seed=2)]
    passes = frame(sorted(today, key=lambda row: row[3]))
    assert replay(passes, rules, knowledge, PastOfPasses(history), "Asia/Shanghai").alerts == []


def coded(rows: list[Row]) -> pl.DataFrame:
    code = pl.col("kkmc").replace_strict({gate: at for at, gate in enumerate(GATES)}, return_dtype=pl.Int64)
    return frame(rows).with_columns(code.alias("code")).sort("hphm", "t", "gcxh")


def usual_in_a_row() -> np.ndarray:
    """Of neighbours only, as ``market`` drives them, with the stay between B and C."""
    usual = np.full((4, 4), np.nan)
    for a, seconds in ((A, WAY_S), (B, 3 * WAY_S), (C, WAY_S)):
        usual[a, a + 1] = usual[a + 1, a] = seconds
    return usual


def found_in(rows: list[Row]) -> np.ndarray:
    return driven_in(coded(rows), usual_in_a_row(), np.full(4, 0.25), SPREAD)


def test_the_median_is_that_of_those_who_drive_through() -> None:
    found = found_in(market(2, through=0.04))
    assert found[B, C] == pytest.approx(WAY_S, rel=0.2)
    assert found[A, B] == pytest.approx(WAY_S, rel=0.15)


def test_the_way_back_tells_of_the_way_there() -> None:
    """Nobody drives from B to C without a stay."""
    rested = market(2, through=0.0)
    back = [row for n in range(20) for row in drive(f"苏CQ{n:04d}", 30_000 + 900 * n, "CB")]
    assert found_in(rested)[B, C] > 1.6 * WAY_S
    found = found_in(rested + back)
    assert found[C, B] == pytest.approx(WAY_S, rel=0.2)
    assert found[B, C] == pytest.approx(1.5 * found[C, B])


def test_a_clone_of_the_history_shows_no_way() -> None:
    """It drives its impossible trip each day, and still is one plate; a few misreads are a few."""
    clone = [
        row
        for day in range(2)
        for row in (
            *drive("苏CQQ777", day * DAY_S + 40_000, "A", tag="x"),
            *drive("苏CQQ777", day * DAY_S + 40_100, "D", tag="y"),
        )
    ]
    honest = found_in(market(2, through=0.04))
    misread = drive("苏C0000X", 40_000, "A", tag="m") + drive("苏C0011X", 41_000, "C", tag="m")
    found = found_in(market(2, through=0.04) + clone + misread)
    assert np.isnan(found[A, D]) and np.isnan(honest[A, D])
    known = np.isfinite(honest)
    assert found[known] == pytest.approx(honest[known], rel=0.05)


def test_nothing_is_said_of_a_pair_that_nothing_else_connects() -> None:
    found = driven_in(
        coded(drive("苏CQQ777", 40_000, "AB")), np.full((4, 4), np.nan), np.full(4, 0.25), SPREAD
    )
    assert np.isnan(found).all()
    assert np.isnan(driven_in(coded([]), np.full((4, 4), np.nan), np.full(4, 0.25), SPREAD)).all()
