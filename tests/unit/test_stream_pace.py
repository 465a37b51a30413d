"""Lag, speed and time to catch up, from batches that ended."""

from __future__ import annotations

import pytest

from spark_jobs.progress import REMEMBERED, Pace, Step, _offsets


def pace(*steps: tuple[float, float, int, int]) -> Pace:
    """Steps as (at, seconds, taken, held) of one partition."""
    found = Pace()
    for at, seconds, taken, held in steps:
        found.add(Step(at, seconds, {"0": taken}, {"0": held}))
    return found


def test_a_backlog_shrinks_by_what_is_handled_less_what_arrives() -> None:
    # 1,000 a batch of 1 s of work, a batch each 2 s; 100 arrive per second meanwhile.
    found = pace((0, 1, 1_000, 9_000), (2, 1, 2_000, 9_200), (4, 1, 3_000, 9_400))
    assert found.lag == {"0": 6_400}
    assert found.handled_per_second == 1_000
    assert found.arriving_per_second == 100
    assert found.catch_up_seconds == pytest.approx(6_400 / 900)


def test_a_backlog_that_grows_is_never_caught_up() -> None:
    found = pace((0, 1, 100, 1_000), (1, 1, 200, 2_000))
    assert found.catch_up_seconds is None


def test_one_batch_alone_tells_the_lag_and_no_speed() -> None:
    found = pace((0, 1, 100, 1_000))
    assert found.lag == {"0": 900} and found.handled_per_second == found.arriving_per_second == 0
    assert found.catch_up_seconds is None


def test_without_lag_nothing_is_to_be_caught_up() -> None:
    assert pace((0, 1, 100, 100)).catch_up_seconds == 0


def test_a_new_partition_is_lag_and_a_batch_behind_the_newest_offsets_is_none() -> None:
    found = Pace()
    found.add(Step(0, 1, {"0": 5}, {"0": 4, "1": 3}))
    assert found.lag == {"0": 0, "1": 3}


def test_what_is_long_past_is_forgotten() -> None:
    slow_then_fast = [(n, 1.0, n * 10, 10**6) for n in range(5)]
    slow_then_fast += [(5 + n, 1.0, 50 + n * 1_000, 10**6) for n in range(REMEMBERED)]
    assert pace(*slow_then_fast).handled_per_second == 1_000


@pytest.mark.parametrize("text", [None, "", "null", "-", "3", "{}"])
def test_a_source_that_says_nothing_of_its_offsets_stops_nobody(text: str | None) -> None:
    assert _offsets(text) == {}


def test_offsets_of_a_topic_by_partition() -> None:
    assert _offsets('{"traffic-passes": {"0": 7, "1": 9}}') == {"0": 7, "1": 9}
