"""Verdicts on small worlds made by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, WAY_S, Row, drive, frame, honest

from kakou.alert import Alert
from kakou.detection.clocks import estimate_clocks, no_clocks
from kakou.detection.knowledge import Knowledge, knows_nothing, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.misreads import learn_confusion, neighbours
from kakou.detection.past import PastOfPasses
from kakou.detection.registry import misplaced
from kakou.detection.replay import Replayed, replay
from kakou.detection.rules import Limits, RuleSettings
from kakou.detection.trips import trips_of


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    return frame(honest(4))


@pytest.fixture(scope="module")
def knowledge(history: pl.DataFrame) -> Knowledge:
    return learn_knowledge(history, list(GATES))


def judged(
    knowledge: Knowledge, history: pl.DataFrame, rows: list[Row], types: dict[str, str] | None = None
) -> Replayed:
    """``types``: plate types by pass id, where they are not that of a small car."""
    rules, _ = rules_of(REGISTRY, knowledge, RuleSettings(Limits()))
    passes = frame(sorted(rows, key=lambda row: row[3])).with_columns(
        pl.col("gcxh").replace_strict(types or {"": ""}, default="02").alias("hpzl")
    )
    return replay(passes, rules, knowledge, PastOfPasses(history), "Asia/Shanghai")


def of(found: Replayed, plate: str) -> Alert:
    (alert,) = [one for one in found.alerts if one.hphm == plate]
    return alert


def sure_of_two(alert: Alert) -> float:
    """Roughly how likely two vehicles drive, whatever the verdict is."""
    return 1 - alert.confidence if alert.verdict == "misread" else alert.confidence


BACKGROUND = [(gcxh, gate, plate, t + 5 * DAY_S, make) for gcxh, gate, plate, t, make in honest(1, seed=2)]
NOON = 5 * DAY_S + 11 * 3600


def test_honest_traffic_gives_no_alert(knowledge: Knowledge, history: pl.DataFrame) -> None:
    assert judged(knowledge, history, BACKGROUND).alerts == []


def test_two_vehicles_under_one_plate(knowledge: Knowledge, history: pl.DataFrame) -> None:
    rows = (
        BACKGROUND
        + drive("苏CQQ777", NOON, "ABCD")
        + drive("苏CQQ777", NOON + 600, "DCBA", "丰田牌", tag="x")
    )
    alert = of(judged(knowledge, history, rows), "苏CQQ777")
    assert (
        alert.verdict == "cloned_plate" and alert.confidence > 0.95 and alert.severity in ("high", "critical")
    )
    assert {"impossible_travel", "second_track"} <= {one.kind for one in alert.evidence}
    assert all(one.zh and one.en for one in alert.evidence)


def test_a_neighbour_on_its_way_explains_an_odd_pass(knowledge: Knowledge, history: pl.DataFrame) -> None:
    """苏CQQ771 passes B between A and C, and there 苏CQQ777 is read, which is at D then."""
    other = drive("苏CQQ771", NOON, "AC", "丰田牌")
    misread = [("m", "B", "苏CQQ777", NOON + WAY_S, "丰田牌")]
    own = drive("苏CQQ777", NOON + WAY_S - 60, "D") + drive("苏CQQ777", NOON + 2 * WAY_S, "C", tag="y")
    alert = of(judged(knowledge, history, BACKGROUND + other + misread + own), "苏CQQ777")
    assert alert.verdict == "misread"
    assert any(one.kind == "neighbour" and "苏CQQ771" in one.en for one in alert.evidence)


def test_the_plate_type_tells_whose_an_odd_pass_is(knowledge: Knowledge, history: pl.DataFrame) -> None:
    """苏CQQ771 may have passed B between A and C, where 苏CQQ777 is read, a small car that is at D then."""
    other = drive("苏CQQ771", NOON, "AC", "-")
    odd = [("m", "B", "苏CQQ777", NOON + WAY_S, "-")]
    own = [
        *drive("苏CQQ777", NOON + WAY_S - 60, "D", "-"),
        *drive("苏CQQ777", NOON + 2 * WAY_S, "C", "-", tag="y"),
    ]
    rows, lorry = BACKGROUND + other + odd + own, dict.fromkeys([row[0] for row in other], "01")
    alike, others_type, nobodys = (
        of(judged(knowledge, history, rows, types), "苏CQQ777")
        for types in (lorry, lorry | {"m": "01"}, {"m": "01"})
    )
    assert others_type.verdict == "misread" and others_type.confidence > alike.confidence
    assert sure_of_two(nobodys) > sure_of_two(others_type)
    (said,) = [one for one in others_type.evidence if one.kind == "type_differs"]
    assert "大型汽车" in said.zh and "01" in said.en
    assert "type_differs" not in {one.kind for one in alike.evidence}


def test_a_clock_that_jumped_is_no_clone(knowledge: Knowledge, history: pl.DataFrame) -> None:
    """From noon on gate B is 17 minutes behind: every trip A to B takes no time at all."""
    late = [
        (g, gate, plate, t - 1020 if gate == "B" and t > NOON else t, make)
        for g, gate, plate, t, make in BACKGROUND
    ]
    found = judged(knowledge, history, late)
    verdicts = [one.verdict for one in found.alerts]
    assert verdicts.count("clock_fault") > 20 and "cloned_plate" not in verdicts
    kinds = {evidence.kind for one in found.alerts for evidence in one.evidence}
    assert {"clock", "possible_when_right"} <= kinds


def test_a_clone_is_found_beside_a_clock_that_jumped(knowledge: Knowledge, history: pl.DataFrame) -> None:
    late = [
        (g, gate, plate, t - 1020 if gate == "B" and t > NOON else t, make)
        for g, gate, plate, t, make in BACKGROUND
    ]
    twin = drive("苏CQQ777", NOON, "ACD") + drive("苏CQQ777", NOON + 600, "DCA", "丰田牌", tag="x")
    found = judged(knowledge, history, late + twin)
    assert {one.hphm for one in found.alerts if one.verdict == "cloned_plate"} == {"苏CQQ777"}


def test_masked_plates_are_withheld(knowledge: Knowledge, history: pl.DataFrame) -> None:
    rows = drive("苏CQ***", NOON) + drive("苏CQ***", NOON + 600, "DCBA", "丰田牌", tag="x")
    found = judged(knowledge, history, rows)
    assert found.alerts == [] and found.counts.withheld == 8


def test_neither_order_nor_repetition_counts(knowledge: Knowledge, history: pl.DataFrame) -> None:
    rows = drive("苏CQQ777", NOON, "ABCD") + drive("苏CQQ777", NOON + 600, "DCBA", "丰田牌", tag="x")
    rules, _ = rules_of(REGISTRY, knowledge, RuleSettings(Limits(lateness=3 * 3600)))
    rng = np.random.default_rng(3)
    found = []
    for _ in range(4):
        mixed = [rows[at] for at in rng.permutation(len(rows))]
        passes = frame([*mixed, *mixed[:3]])
        found.append(
            [
                one.to_json()
                for one in replay(passes, rules, knowledge, PastOfPasses(history), "Asia/Shanghai").alerts
            ]
        )
    assert found[0] and all(one == found[0] for one in found)


def test_without_a_history_the_map_decides() -> None:
    knowledge = knows_nothing(list(GATES))
    nothing = frame([])
    rows = [*drive("苏CQQ777", NOON, "A"), ("x", "D", "苏CQQ777", NOON + 60, "丰田牌")]
    alert = of(judged(knowledge, nothing, rows), "苏CQQ777")
    assert alert.verdict == "cloned_plate" and 1400 < (alert.min_travel_seconds or 0) < 1600


def test_offsets_are_found_to_some_seconds(knowledge: Knowledge) -> None:
    rows = (
        frame(BACKGROUND)
        .sort("hphm", "t")
        .with_columns(
            pl.col("kkmc")
            .replace_strict({gate: n for n, gate in enumerate(GATES)}, return_dtype=pl.Int64)
            .alias("code")
        )
    )
    ahead = np.array([0, 300, 0, -200])
    t, code = rows["t"].to_numpy(), rows["code"].to_numpy()
    jumped = rows.with_columns(pl.Series("t", t + np.where(t > NOON, ahead[code], 0)))
    clocks = estimate_clocks(trips_of(jumped), knowledge.usual, knowledge.usual * knowledge.spread)
    for moment, want in ((NOON - 7200, np.zeros(4)), (NOON + 7200, ahead)):
        found = clocks.at(np.arange(4), np.full(4, moment))
        assert np.abs(found - found[0] - want).max() < 60
    assert not estimate_clocks(trips_of(rows[:0]), knowledge.usual, knowledge.spread).ahead.any()
    assert not no_clocks(4).at(np.array([0, -1]), np.array([0, 0])).any()


def test_the_least_time_is_below_every_honest_trip_and_near_the_fastest(
    knowledge: Knowledge, history: pl.DataFrame
) -> None:
    rows = honest(4)
    fastest = min(b[3] - a[3] for a, b in pairwise(rows) if (a[1], b[1], a[2]) == ("A", "B", b[2]))
    assert 0.6 * fastest < knowledge.least[0, 1] <= fastest
    # Nobody was read at A and then at D only: the way is put together from its pieces.
    assert knowledge.trips[0, 3] == 0 and 1200 < knowledge.least[0, 3] < 3 * WAY_S


def test_confusion_is_learned_from_reads_that_a_neighbour_explains() -> None:
    rows: list[Row] = []
    for number in range(400):
        plate = f"苏C8{number:04d}"
        rows += drive(plate, number * 60, "ABCD", pace=1.0)
        if number % 10 == 0:  # one read in forty: B for the 8 in the third place
            at = next(n for n in range(len(rows) - 4, len(rows)) if rows[n][1] == "B")
            rows[at] = (rows[at][0], "B", f"苏CB{number:04d}", rows[at][3], rows[at][4])
    whole = (
        frame(rows)
        .sort("hphm", "t")
        .with_columns(
            pl.col("kkmc")
            .replace_strict({gate: n for n, gate in enumerate(GATES)}, return_dtype=pl.Int64)
            .alias("code")
        )
    )
    usual = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) * float(WAY_S)
    found = learn_confusion(whole, usual, np.full((4, 4), 0.1))
    assert 0.04 < found.misread < 0.065  # of the reads between two others, which are half of all
    assert found.of("苏C80010", "苏CB0010") > 5 * found.of("苏C80010", "苏C10010") > 0
    assert max(found.rate, key=lambda pair: found.rate[pair]) == ("8", "B")


def test_neighbours_differ_in_one_character_behind_the_province() -> None:
    found = list(neighbours("苏C12345"))
    assert len(found) == len(set(found)) == 6 * 33
    assert all(
        sum(a != b for a, b in zip(one, "苏C12345", strict=True)) == 1 and one[0] == "苏" for one in found
    )


def test_a_gate_that_is_not_where_the_registry_says_is_named() -> None:
    km = np.abs(np.subtract.outer([0.0, 20, 40, 300], [0.0, 20, 40, 300]))
    usual, trips = np.full((4, 4), 1200.0), np.full((4, 4), 50)
    assert misplaced(km, usual, trips) == [3]
    assert misplaced(km[:3, :3], usual[:3, :3], trips[:3, :3]) == []
    assert misplaced(km, usual, np.ones((4, 4), int)) == []
