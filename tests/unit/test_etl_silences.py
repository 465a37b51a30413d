"""Planted silences are found to the hour; honest nights, small roads and partial days are not called one."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.generate.profile import traffic_profile
from etl.generate.trips import make_passes
from etl.registry import known_gates
from etl.steps.silences import Counts, missing_hours, silent_gates

FIRST = date(2023, 12, 11)  # a Monday


def counted(passes):
    gates, days, _ = passes.shape
    names = tuple(f"gate{n:04d}" for n in range(gates))
    return Counts(
        names, tuple(FIRST + timedelta(n) for n in range(days)), passes.astype(np.int64), np.zeros(days, bool)
    )


def generated(days=14, scale=0.5, seed=1):
    every = [FIRST + timedelta(n) for n in range(days)]
    passes = make_passes(traffic_profile(), every, scale, np.random.default_rng(seed))
    hour = passes.at // 3600
    hour -= hour.min() // 24 * 24
    counts = np.zeros((len(known_gates()), days, 24), dtype=np.int64)
    np.add.at(counts, (passes.gate, hour // 24, hour % 24), 1)
    return counts


def changed(counts, *where):
    counts = counts.copy()
    for place in where:
        counts[place] = 0
    return counts


def at(day, hour):
    return datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(days=day, hours=hour)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.005, 0.02, 0.1, 0.5, 2]), st.sampled_from([2, 5, 14]))
def test_honest_traffic_of_any_amount_is_never_called_silent_or_partial(seed, scale, days):
    counts = counted(generated(days, scale, seed))
    assert silent_gates(counts) == []
    assert not any(missing_hours(counts))


def test_honest_nights_of_small_roads_are_not_silences():
    rng = np.random.default_rng(3)
    small = rng.poisson(np.r_[np.zeros(5), rng.uniform(0.2, 3, 19)], (10, 60, 24))
    large = rng.poisson(40, (5, 60, 24))
    assert silent_gates(counted(np.concatenate([small, large]))) == []


@pytest.mark.parametrize("gate", range(0, 19, 2))
def test_a_planted_silence_is_found_to_the_hour_and_nothing_else(gate):
    honest = generated()
    expected = honest[gate, 5, 8:14].sum()
    hurt = changed(honest, np.s_[gate, 5, 8:14], np.s_[gate, 9:11])
    found = [one for one in silent_gates(counted(hurt)) if one.hours < 24]
    long = [one for one in silent_gates(counted(hurt)) if one.hours >= 24]
    assert all(one.kkmc == f"gate{gate:04d}" for one in [*found, *long])
    if honest[gate, 5, 8:14].all() and expected > 30:
        (one,) = found
        assert one.begin <= at(5, 8) and one.end >= at(5, 14)
        assert honest[gate].ravel()[(one.begin - at(0, 0)) // timedelta(hours=1) : 5 * 24 + 8].sum() == 0
        assert 0.4 * expected < one.expected < 2.5 * expected
    if honest[gate].sum() / 14 > 30:
        (one,) = long
        assert one.begin <= at(9, 0) and one.end >= at(11, 0)


def test_a_slow_gate_needs_a_longer_silence_than_a_busy_one():
    rng = np.random.default_rng(4)
    counts = np.concatenate([rng.poisson(1, (1, 30, 24)), rng.poisson(60, (6, 30, 24))])
    short = changed(counts, np.s_[0:2, 7, 8:11])
    assert [one.kkmc for one in silent_gates(counted(short))] == ["gate0001"]
    long = changed(counts, np.s_[0, 7:10])
    assert [one.kkmc for one in silent_gates(counted(long))] == ["gate0000"]


def test_four_passes_are_too_few_to_call_the_rest_a_silence():
    counts = np.random.default_rng(6).poisson(60, (10, 20, 24))
    counts[0] = 0
    counts[0, 0, [8, 12]] = counts[0, 1, [9, 17]] = 1
    assert silent_gates(counted(counts)) == []


def test_a_gate_whose_nights_come_and_go_is_not_silent_on_the_empty_ones():
    rng = np.random.default_rng(7)
    counts = rng.poisson(30, (8, 40, 24))
    counts[0, :, :6] = rng.poisson(6, (40, 6)) * rng.choice([0, 1, 2], (40, 1), p=[0.3, 0.4, 0.3])
    assert any(not counts[0, day, :6].any() for day in range(40))
    assert silent_gates(counted(counts)) == []


def test_a_gate_that_always_rests_at_weekends_is_not_silent_on_the_only_one():
    counts = np.random.default_rng(8).poisson(30, (8, 7, 24))
    counts[0, 5:] = 0
    assert silent_gates(counted(counts)) == []


def test_the_largest_gate_is_judged_by_the_others_and_not_by_itself():
    rng = np.random.default_rng(9)
    counts = np.concatenate([rng.poisson(200, (1, 14, 24)), rng.poisson(2, (5, 14, 24))])
    (one,) = silent_gates(counted(changed(counts, np.s_[0, 9, 10])))
    assert (one.kkmc, one.begin, one.end) == ("gate0000", at(9, 10), at(9, 11))


def test_hours_missing_at_all_gates_belong_to_the_day():
    counts = changed(generated(), np.s_[:, 3, 9:])
    assert silent_gates(counted(counts)) == []
    gone = missing_hours(counted(counts))
    assert gone[3] == tuple(range(9, 24)) and not any(gone[:3] + gone[4:])


def test_a_day_with_one_minute_of_an_hour_names_no_gate():
    counts = generated()
    counts[:, 4] = np.random.default_rng(1).binomial(
        counts[:, 4], np.r_[np.zeros(10), 0.65, 0.02, np.zeros(12)]
    )
    assert silent_gates(counted(counts)) == []
    assert set(range(10)) | set(range(12, 24)) <= set(missing_hours(counted(counts))[4])


def test_a_quiet_day_at_all_gates_is_no_silence_of_any():
    counts = generated()
    counts[:, 4] = np.random.default_rng(2).binomial(counts[:, 4], 0.1)
    assert silent_gates(counted(counts)) == []


def test_a_gate_that_died_is_named_to_the_end():
    counts = changed(generated(), np.s_[2, 6:])
    (one,) = silent_gates(counted(counts))
    assert (one.kkmc, one.end) == ("gate0002", at(14, 0))


def test_copied_days_are_no_evidence():
    counts = generated()
    hurt = changed(counts, np.s_[3, 8, 6:20])
    left_out = np.zeros(14, dtype=bool)
    left_out[8] = True
    assert silent_gates(counted(hurt)) and not silent_gates(replace(counted(hurt), left_out=left_out))


def test_no_gate_one_gate_and_no_pass():
    assert silent_gates(counted(np.zeros((0, 0, 24)))) == [] == missing_hours(counted(np.zeros((0, 0, 24))))
    alone = generated()[:1]
    assert silent_gates(counted(changed(alone, np.s_[0, 5, 8:14]))) == []


def test_a_thousand_gates_and_a_year_take_seconds():
    rng = np.random.default_rng(5)
    rate = rng.lognormal(0.7, 0.8, (1000, 1, 1)) * (1 + np.sin(np.arange(24) / 24 * 6.3))
    counts = np.concatenate([rng.poisson(rate, (1000, 73, 24)) for _ in range(5)], axis=1)
    counts[500, 100:110] = 0
    began = process_time()
    found = silent_gates(counted(counts))
    assert process_time() - began < 15
    assert [one.kkmc for one in found] == ["gate0500"]
