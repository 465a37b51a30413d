"""Which hours are known: zeros that the day proves, and silence that proves nothing."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from flow_world import counts, counts_file

from kakou.errors import BadInputError, TooLittleDataError
from spark_jobs.flow_counts import (
    LEAST_DAYS,
    TooLittleHistoryError,
    demand_history,
    known_hours,
    read_counts,
    with_calendar,
)

DAY = date(2024, 3, 1)


def cells(*rows: tuple[str, int, int, int, int], day: date = DAY, made_up: int = 0) -> pd.DataFrame:
    """Rows are gate, hour, count, second of the first and of the last pass."""
    return pd.DataFrame(
        [(gate, day, hour, count, first, last, made_up) for gate, hour, count, first, last in rows],
        columns=["kkmc", "day", "hour", "count", "first_second", "last_second", "made_up"],
    )


def as_dict(known: pd.DataFrame) -> dict[tuple[str, int], int]:
    return {(gate, hour): n for gate, hour, n in known[["kkmc", "hour", "count"]].itertuples(index=False)}


def test_silent_gate_has_zero_only_while_the_day_is_recorded():
    """
    hour   8         9         10
    A      ██        ██        ██      recorded throughout
    B      ██        ·         ██      silent at 9: zero
    C      ·         ·         ·       never seen: unknown
    """
    found = as_dict(
        known_hours(
            cells(
                ("A", 8, 5, 5, 3590), ("A", 9, 6, 0, 3500), ("A", 10, 7, 9, 3595),
                ("B", 8, 1, 60, 60), ("B", 10, 2, 70, 80),
            )
        )
    )  # fmt: skip
    assert found == {("A", 8): 5, ("A", 9): 6, ("A", 10): 7, ("B", 8): 1, ("B", 9): 0, ("B", 10): 2}


def test_hour_in_which_all_gates_are_silent_is_unknown():
    found = as_dict(known_hours(cells(("A", 8, 5, 5, 3590), ("A", 10, 7, 9, 3595))))
    assert found == {("A", 8): 5, ("A", 10): 7}


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [(0, 3599, {8, 9, 10}), (600, 3000, {8, 9, 10}), (601, 3599, {9, 10}), (0, 2999, {8, 9})],
)
def test_cut_first_and_last_hour_are_unknown(first: int, last: int, kept: set[int]):
    day = cells(("A", 8, 5, first, 3590), ("A", 9, 5, 1, 3590), ("A", 10, 5, 1, last))
    assert {hour for _, hour in as_dict(known_hours(day))} == kept


def test_another_gate_can_prove_the_edge_of_the_day():
    day = cells(("A", 8, 1, 3000, 3590), ("B", 8, 1, 10, 3590))
    assert set(as_dict(known_hours(day))) == {("A", 8), ("B", 8)}


def test_days_do_not_lend_each_other_hours():
    both = pd.concat([cells(("A", 8, 5, 0, 3599)), cells(("A", 20, 5, 0, 3599), day=date(2024, 3, 2))])
    known = known_hours(both)
    assert sorted(known["hour"]) == [8, 20]


def test_hour_with_a_made_up_pass_at_any_gate_is_unknown_and_gives_no_edge():
    """
    hour   8         9         10
    A      ██        ██        ░░      ░ copied from another day
    B      ██        ·         ░░
    C      ·         ·         ██      its only pass lies in the copied hour: unknown all day
    """
    real = cells(("A", 8, 5, 5, 3590), ("A", 9, 6, 0, 3599), ("B", 8, 1, 60, 60), ("C", 10, 1, 1800, 1800))
    day = pd.concat([real, cells(("A", 10, 7, 9, 3595), ("B", 10, 2, 70, 80), made_up=2)])
    assert as_dict(known_hours(day)) == {("A", 8): 5, ("A", 9): 6, ("B", 8): 1, ("B", 9): 0}


def test_day_of_made_up_passes_gives_no_hour():
    assert known_hours(cells(("A", 8, 5, 0, 3599), ("A", 9, 5, 0, 3599), made_up=1)).empty


def test_no_pass_gives_no_hour():
    assert known_hours(cells()).empty


def test_history_of_seven_days_with_twelve_hours_is_enough():
    demand_history(counts(LEAST_DAYS).query("hour < 12"))


@pytest.mark.parametrize("history", [counts(LEAST_DAYS - 1), counts(30).query("hour < 11")])
def test_short_history_is_refused_in_both_languages(history: pd.DataFrame):
    with pytest.raises(TooLittleDataError) as refused:
        demand_history(history)
    assert "at least 12 whole hours, and 7 such days are needed" in str(refused.value)
    assert isinstance(refused.value, TooLittleHistoryError)
    assert "数据不足" in refused.value.reason_zh


def test_empty_history_is_refused():
    with pytest.raises(TooLittleDataError, match="0 of 0 observed days"):
        demand_history(known_hours(cells()))


def test_counts_file_is_read_as_it_was_written(tmp_path: Path):
    known = counts(2)
    again = read_counts(counts_file(tmp_path, known))
    pd.testing.assert_frame_equal(
        again, known.sort_values(["kkmc", "day", "hour"], ignore_index=True), check_dtype=False
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("gate,hour,count\n", "lacks the column kkmc"),
        ("kkmc,hour,count\nA,2024-03-01 08:00:00,1\nA,2024-03-01 08:30:00,1\n", "Line 3"),
        ("kkmc,hour,count\nA,2024-03-01 08:00:00,-1\n", "Line 2"),
        ("kkmc,hour,count\nA,yesterday,1\n", "Line 2"),
        ("kkmc,hour,count\nA,2024-03-01 08:00:00,\n", "Line 2"),
        ("kkmc,hour,count\nA,2024-03-01 08:00:00,1\nA,2024-03-01 08:00:00,2\n", "twice"),
    ],
)
def test_unusable_counts_are_named(tmp_path: Path, text: str, word: str):
    path = tmp_path / "counts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=word):
        read_counts(path)


def test_missing_counts_file_is_named(tmp_path: Path):
    with pytest.raises(BadInputError, match="There is no file"):
        read_counts(tmp_path / "none.csv")


def test_calendar_knows_weekend_and_holiday():
    days = pd.DataFrame({"day": [date(2024, 1, 1), date(2024, 2, 4), date(2024, 3, 2), date(2024, 3, 4)]})
    marked = with_calendar(days)
    # New Year's Day is a Monday off; 4 February 2024 is a Sunday on which people worked for Spring Festival.
    assert marked["is_weekend"].tolist() == [0, 1, 1, 0]
    assert marked["is_holiday"].tolist() == [1, 0, 0, 0]


def test_year_without_published_calendar_has_weekends_only():
    marked = with_calendar(pd.DataFrame({"day": [date(2099, 1, 1), date(2099, 1, 3)]}))
    assert marked["is_weekend"].tolist() == [0, 1]
    assert marked["is_holiday"].tolist() == [0, 0]
