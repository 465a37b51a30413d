"""Which row may be emitted now. Times run from left to right::

history  t   0        600       4200
             A ──────── B ─────── C
"""

import random

import pytest

from etl.simulate.clones import CloneMaker, GatePlace
from etl.simulate.pacing import WINDOW_SECONDS, Pacer, SourceRow


def row(t, gate, plate="苏C12345", brand="大众牌"):
    return SourceRow(t, "丰县", gate, "1", "02", plate, brand, "江苏", "小型汽车")


def emit(pacer, one, at):
    pacer.emitted(one.hphm, one.kkmc, at, one.t)


def test_a_new_plate_and_the_same_gate_are_always_fine():
    pacer = Pacer()
    assert pacer.decide(row(0, "A"), 100.0) == "emit"
    emit(pacer, row(0, "A"), 100.0)
    assert pacer.decide(row(5, "A"), 100.02) == "emit"


def test_another_gate_waits_for_the_original_gap():
    pacer = Pacer()
    emit(pacer, row(0, "A"), 100.0)
    assert pacer.decide(row(600, "B"), 101.0) == "hold"
    assert pacer.due(699.9) is None
    assert pacer.due(700.0) == row(600, "B")


def test_while_a_trip_is_held_its_plate_is_not_seen_elsewhere():
    pacer = Pacer()
    emit(pacer, row(0, "A"), 100.0)
    pacer.decide(row(600, "B"), 101.0)
    assert pacer.decide(row(4200, "C"), 102.0) == "skip"
    assert pacer.decide(row(30_000, "A"), 102.0) == "skip"
    # No other row is left: it may be seen where it is, and its trip begins anew from there.
    assert pacer.decide(row(500, "A"), 650.0, patient=False) == "emit"
    emit(pacer, row(500, "A"), 650.0)
    assert pacer.due(700.0) is None
    assert pacer.due(750.0) == row(600, "B")


def test_when_the_history_begins_anew_a_plate_waits_the_whole_window():
    pacer = Pacer()
    emit(pacer, row(90_000, "B"), 100.0)
    assert pacer.decide(row(0, "A"), 100.0 + WINDOW_SECONDS - 1) == "skip"
    assert pacer.decide(row(0, "A"), 100.0 + WINDOW_SECONDS) == "emit"


def test_a_gap_longer_than_the_window_is_not_held():
    pacer = Pacer()
    emit(pacer, row(0, "A"), 100.0)
    assert pacer.decide(row(50_000, "B"), 200.0) == "skip"
    assert pacer.decide(row(50_100, "A"), 201.0) == "emit"


def test_a_burned_plate_is_kept_out_until_its_time():
    pacer = Pacer()
    emit(pacer, row(0, "A"), 100.0)
    pacer.decide(row(600, "B"), 101.0)
    pacer.burn("苏C12345", 5000.0)
    assert pacer.decide(row(0, "A"), 200.0) == "skip"
    assert pacer.due(4000.0) is None
    assert pacer.decide(row(0, "A"), 5000.0 + WINDOW_SECONDS) == "emit"


def test_what_is_old_is_forgotten():
    pacer = Pacer()
    emit(pacer, row(0, "A"), 100.0)
    emit(pacer, row(0, "A", "苏C00002"), 9000.0)
    pacer.forget_before(100.0 + WINDOW_SECONDS)
    assert [plate for plate, _ in pacer.plates()] == ["苏C00002"]


GATES = {
    "A": GatePlace("A", "丰县", 117.0, 34.0),
    "NEAR": GatePlace("NEAR", "丰县", 117.1, 34.0),
    "FAR": GatePlace("FAR", "沛县", 117.5, 34.0),
}


@pytest.fixture
def maker():
    return CloneMaker(GATES, random.Random(1))


def test_a_clone_is_far_away_soon_after_and_of_another_brand(maker):
    pacer = Pacer()
    for n, (plate, brand) in enumerate([("苏C00001", "大众牌"), ("苏C00002", "丰田牌-卡罗拉-2019")]):
        emit(pacer, row(0, "A", plate, brand), 100.0 + n)
        maker.saw(row(0, "A", plate, brand), f"id{n}", 100.0 + n)
    planted = maker.make(pacer, 110.0)
    assert planted is not None
    assert planted.row.kkmc == "FAR" and planted.row.xzqhmc == "沛县"
    honest = {"id0": "大众牌", "id1": "丰田牌-卡罗拉-2019"}
    assert planted.row.clppxh in honest.values()
    assert planted.row.clppxh != honest[planted.first_gcxh]


def test_nobody_is_cloned_who_moved_on_or_cannot_be_told_apart(maker):
    pacer = Pacer()
    for n, (plate, brand) in enumerate(
        [("苏C12***", "大众牌"), ("苏C00002", "-"), ("C00003", "丰田牌"), ("苏C00004", "本田牌")]
    ):
        emit(pacer, row(0, "A", plate, brand), 100.0)
        maker.saw(row(0, "A", plate, brand), f"id{n}", 100.0)
    emit(pacer, row(9, "FAR", "苏C00004"), 105.0)
    assert maker.make(pacer, 110.0) is None


def test_a_clone_needs_a_fresh_pass(maker):
    pacer = Pacer()
    for plate, brand in (("苏C00001", "大众牌"), ("苏C00002", "丰田牌")):
        emit(pacer, row(0, "A", plate, brand), 100.0)
        maker.saw(row(0, "A", plate, brand), "id", 100.0)
    assert maker.make(pacer, 101.0) is None, "too soon: the same second would hide who came first"
    assert maker.make(pacer, 200.0) is None, "too late: a fast car might do it"
