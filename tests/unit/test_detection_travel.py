"""Learned travel times, and how they meet the map."""

from __future__ import annotations

import math

import polars as pl
import pytest

from kakou.detection.rules import BASIS_HISTORY, BASIS_MAP, build_rules
from kakou.detection.travel import MIN_TRIPS, QUANTILE, SAFETY, TRAVEL_COLUMNS, TRAVEL_SCHEMA, learn
from kakou.geography import great_circle_km


def trips(gaps: list[int], start: str = "A", end: str = "B") -> list[tuple[str, str, str, int]]:
    """One plate per trip: at ``start`` at 1000, at ``end`` ``gap`` seconds later."""
    return [
        row
        for i, gap in enumerate(gaps)
        for row in (
            (f"{start}{i}", f"苏C{i:05d}", start, 1000),
            (f"{end}{i}", f"苏C{i:05d}", end, 1000 + gap),
        )
    ]


def frame(rows: list[tuple[str, str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["gcxh", "hphm", "kkmc", "t"], orient="row")


def test_low_quantile_of_enough_trips() -> None:
    gaps = list(range(500, 900))
    learned = learn(frame(trips(gaps[::-1])))
    least = math.floor(SAFETY * gaps[math.floor(QUANTILE * (len(gaps) - 1))])
    assert learned.columns == list(TRAVEL_COLUMNS)
    assert learned.rows() == [("A", "B", 400, least, "learned")]


def test_few_trips_are_called_few() -> None:
    assert learn(frame(trips([600] * MIN_TRIPS)))["basis"].to_list() == ["learned"]
    assert learn(frame(trips([600] * (MIN_TRIPS - 1)))).row(0) == ("A", "B", MIN_TRIPS - 1, 480, "few")


@pytest.mark.parametrize("gap", [0, 4 * 3600 + 1])
def test_no_trip_without_time_or_after_hours(gap: int) -> None:
    assert learn(frame(trips([gap]))).is_empty()


def test_repeats_the_same_gate_and_cut_plates_are_no_trips() -> None:
    assert learn(frame([("1", "苏C12345", "A", 0), ("1", "苏C12345", "B", 60)])).is_empty()
    assert learn(frame([("1", "苏C12345", "A", 0), ("2", "苏C12345", "A", 60)])).is_empty()
    assert learn(frame([("1", "苏C12***", "A", 0), ("2", "苏C12***", "B", 60)])).is_empty()


def rules_for(rows: list[tuple[str, str, int, int, str]]) -> tuple[int, int]:
    gates = pl.DataFrame({"kkmc": ["A", "B"], "name": ["A", "B"], "lon": [117.0, 117.5], "lat": [34.0, 34.0]})
    travel = pl.DataFrame(rows, schema=TRAVEL_SCHEMA, orient="row")
    rules = build_rules(gates, travel, fallback_kmh=200)
    return int(rules.min_travel[0, 1]), int(rules.basis[0, 1])


def test_learned_beats_the_map_and_few_only_lowers_it() -> None:
    on_map = math.floor(great_circle_km(117.0, 34.0, 117.5, 34.0) / 200 * 3600)
    assert rules_for([]) == (on_map, BASIS_MAP)
    assert rules_for([("A", "B", 40, 5000, "learned")]) == (5000, BASIS_HISTORY)
    assert rules_for([("A", "B", 3, 5000, "few")]) == (on_map, BASIS_MAP)
    assert rules_for([("A", "B", 3, 600, "few")]) == (600, BASIS_HISTORY)


def test_an_impossible_or_single_hop_of_the_history_does_not_silence_a_pair() -> None:
    on_map = rules_for([])
    assert rules_for([("A", "B", 3, 5, "few")]) == on_map
    assert rules_for([("A", "B", 1, 600, "few")]) == on_map


def test_a_gate_that_only_the_history_knows_is_learned_too() -> None:
    gates = pl.DataFrame({"kkmc": ["A"], "name": ["A"], "lon": [117.0], "lat": [34.0]})
    travel = pl.DataFrame([("A", "X", 40, 77, "learned")], schema=TRAVEL_SCHEMA, orient="row")
    rules = build_rules(gates, travel)
    assert rules.gates == ("A", "X") and rules.min_travel[0, 1] == 77
    assert rules.min_travel[1, 0] == -1
