"""Each rule of the detector by one small case; the timelines are drawn in minutes."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from kakou.detection.contradictions import CROWD, contradictions_of, find_contradictions
from kakou.detection.rules import Limits, Rules, build_rules
from kakou.detection.state import (
    BATCH_SCHEMA,
    FAN,
    LARGE,
    LAST_LEVEL,
    State,
)
from kakou.detection.travel import TRAVEL_SCHEMA

PLATE = "苏C12345"
MINUTE = 60
Row = tuple[str, str, str, int]


@pytest.fixture
def rules() -> Rules:
    """A and B are 20 km apart on the map (6 min at 200 km/h), C has no place, A to D was learned: 30 min."""
    gates = pl.DataFrame(
        {
            "kkmc": ["A", "B", "C", "D"],
            "name": ["甲", "乙", "丙", "丁"],
            "lon": [117.0, 117.0, None, None],
            "lat": [34.0, 34.18, None, None],
        }
    )
    travel = pl.DataFrame([("A", "D", 90, 1800, "learned")], schema=TRAVEL_SCHEMA, orient="row")
    return build_rules(gates, travel, limits=Limits(window=7200, lateness=1800, future=1200))


def batch(*rows: Row, arrival: list[int | None] | None = None) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "gcxh": columns[0],
            "kkmc": columns[2],
            "hpzl": ["02"] * len(rows),
            "hphm": columns[1],
            "clppxh": ["-"] * len(rows),
            "t": columns[3],
            "arrival": arrival or [None] * len(rows),
        },
        schema=BATCH_SCHEMA,
    )


def pairs(table: pa.Table) -> list[tuple[str, str]]:
    return [(row["first_gcxh"], row["second_gcxh"]) for row in table.to_pylist()]


def ids(state: State) -> list[str]:
    return sorted(id for piece in state.pieces for id in piece.passes["gcxh"].to_pylist())


def test_too_short_on_the_map_is_a_contradiction(rules: Rules) -> None:
    _, found, counts, _ = find_contradictions(
        State(), batch(("1", PLATE, "A", 0), ("2", PLATE, "B", 5 * MINUTE)), rules
    )
    row = found.to_pylist()[0]
    assert (row["gap_seconds"], row["min_travel_seconds"], round(row["distance_km"])) == (300, 360, 20)
    assert counts.contradictions == 1


@pytest.mark.parametrize(
    ("gap", "hit"),
    [(0, True), (359, True), (360, False), (361, False)],
    ids=["gap 0", "just", "equal", "over"],
)
def test_the_limit_itself_is_honest(rules: Rules, gap: int, hit: bool) -> None:
    _, found, _, _ = find_contradictions(State(), batch(("1", PLATE, "A", 0), ("2", PLATE, "B", gap)), rules)
    assert (len(found) == 1) is hit


def test_learned_time_holds_for_its_direction_only(rules: Rules) -> None:
    forth = batch(("1", PLATE, "A", 0), ("2", PLATE, "D", 20 * MINUTE))
    back = batch(("1", PLATE, "D", 0), ("2", PLATE, "A", 20 * MINUTE))
    assert len(find_contradictions(State(), forth, rules)[1]) == 1
    assert len(find_contradictions(State(), back, rules)[1]) == 0


def test_a_gate_without_a_place_gives_no_verdict(rules: Rules) -> None:
    rows = batch(("1", PLATE, "A", 0), ("2", PLATE, "C", 1), ("3", PLATE, "nowhere", 2))
    assert pairs(find_contradictions(State(), rows, rules)[1]) == []


@pytest.mark.parametrize("plate", ["苏C12***", "6***", "-", "无牌", "苏C1234", ""])
def test_a_plate_that_is_not_whole_is_withheld(rules: Rules, plate: str) -> None:
    state, found, counts, _ = find_contradictions(
        State(), batch(("1", plate, "A", 0), ("2", plate, "B", 1)), rules
    )
    assert (len(found), counts.withheld, len(state)) == (0, 2, 0)


def test_not_only_the_last_pass_is_compared(rules: Rules) -> None:
    """
    ::

        arrives   1st A─────────── 2nd A(late stamp) ── 3rd B
        time      0                50                   3
                  └─────────── B is 3 minutes after this one
    """
    state, found, _, _ = find_contradictions(
        State(), batch(("1", PLATE, "A", 0), ("2", PLATE, "A", 25 * MINUTE)), rules
    )
    assert len(found) == 0
    _, found, _, _ = find_contradictions(state, batch(("3", PLATE, "B", 3 * MINUTE)), rules)
    assert pairs(found) == [("1", "3")]


def test_the_same_id_twice_is_one_pass(rules: Rules) -> None:
    first = batch(("1", PLATE, "A", 0), ("1", PLATE, "A", 0))
    state, _, counts, _ = find_contradictions(State(), first, rules)
    assert (counts.duplicates, len(state)) == (1, 1)
    again = batch(("1", PLATE, "A", 0), ("2", PLATE, "B", 1))
    state, found, counts, _ = find_contradictions(state, again, rules)
    assert (counts.duplicates, len(state), pairs(found)) == (1, 2, [("1", "2")])
    assert find_contradictions(state, again, rules)[2].contradictions == 0


def test_late_is_set_aside_and_counted(rules: Rules) -> None:
    state, _, _, _ = find_contradictions(State(), batch(("1", "苏C99999", "A", 3600)), rules)
    rows = batch(("2", PLATE, "A", 1800), ("3", PLATE, "B", 1799))
    _, found, counts, _ = find_contradictions(state, rows, rules)
    assert (len(found), counts.late) == (0, 1)


def test_a_pass_from_the_future_moves_no_watermark(rules: Rules) -> None:
    day = 86_400
    rows = batch(("1", PLATE, "A", 0), ("2", "苏C99999", "A", day), ("3", PLATE, "B", 60), arrival=[1, 2, 61])
    state, found, counts, _ = find_contradictions(State(), rows, rules)
    assert (pairs(found), counts.future, counts.late, state.newest) == ([("1", "3")], 1, 0, 60)


def test_what_is_older_than_window_and_lateness_is_forgotten(rules: Rules) -> None:
    state, _, _, _ = find_contradictions(State(), batch(("1", PLATE, "A", 0)), rules)
    state, _, _, _ = find_contradictions(state, batch(("2", "苏C99999", "A", 9000)), rules)
    assert ids(state) == ["1", "2"]
    state, _, _, _ = find_contradictions(state, batch(("3", "苏C99999", "A", 9001)), rules)
    assert ids(state) == ["2", "3"]


def test_many_batches_lie_in_few_pieces_and_none_of_their_passes_is_missed(rules: Rules) -> None:
    state, count = State(), 5 * FAN**2 + 3
    for at in range(count):
        state, _, _, _ = find_contradictions(state, batch((f"{at:04d}", f"苏C{at:05d}", "A", at)), rules)
    assert sorted(piece.level for piece in state.pieces) == [0] * 3 + [2] * 5
    assert ids(state) == [f"{at:04d}" for at in range(count)]
    rows = batch(*((f"x{at}", f"苏C{at:05d}", "B", at) for at in range(count)))
    _, found, _, _ = find_contradictions(state, rows, rules)
    assert len(found) == count


def test_a_large_piece_stays_as_it_is_until_all_of_it_is_forgotten(rules: Rules) -> None:
    rows = [(f"{at}", f"苏C{at % 99999:05d}", "A", at % 7) for at in range(LARGE)]
    large, _, _, _ = find_contradictions(State(), batch(*rows), rules)
    (piece,) = large.pieces
    assert piece.level == LAST_LEVEL
    kept = large
    for at in range(2 * FAN):
        kept, _, _, _ = find_contradictions(kept, batch((f"y{at}", PLATE, "A", 9006)), rules)
        assert piece in kept.pieces
    gone, _, _, _ = find_contradictions(kept, batch(("z", PLATE, "A", 9007)), rules)
    assert piece not in gone.pieces


def test_a_crowd_under_one_plate_is_cut_off_and_counted(rules: Rules) -> None:
    rows = [(f"{i:04d}", PLATE, "A", i) for i in range(CROWD + 10)]
    state, _, counts, _ = find_contradictions(State(), batch(*rows[:CROWD]), rules)
    assert counts.crowded == 0
    state, _, counts, _ = find_contradictions(state, batch(*rows[CROWD:], ("x", "苏C99999", "A", 1)), rules)
    assert (counts.crowded, len(state)) == (10, CROWD + 1)


def test_an_empty_batch_changes_nothing(rules: Rules) -> None:
    state, _, _, _ = find_contradictions(State(), batch(("1", PLATE, "A", 7)), rules)
    again, found, counts, _ = find_contradictions(state, BATCH_SCHEMA.empty_table(), rules)
    assert again == state and again.newest == 7 and len(found) == counts.passes == 0


def test_what_is_remembered_for_longer_than_it_must_changes_nothing(rules: Rules) -> None:
    """The stream asks a memory that reaches back for hours; a crowd counts within reach only."""
    old = batch(*((f"{at:04d}", PLATE, "A", at) for at in range(CROWD)))
    kept, _, _, _ = find_contradictions(State(), old, rules)
    at = rules.limits.retention + 10 * MINUTE
    rows = batch(("x", PLATE, "A", at), ("y", PLATE, "B", at + MINUTE))
    newest, found, counts, fresh = contradictions_of(State(at, kept.pieces), rows, rules)
    assert pairs(found) == pairs(find_contradictions(State(), rows, rules)[1]) == [("x", "y")]
    assert newest == at + MINUTE and counts.crowded == 0 and len(fresh) == 2
