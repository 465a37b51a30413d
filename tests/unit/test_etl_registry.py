"""Spellings name gates: 20 known ones are 19 gates, and an unknown one is its own."""

import re

from etl.generate.profile import traffic_profile
from etl.registry import known_gates, resolve


def test_twenty_spellings_are_nineteen_gates():
    spellings = [name for names in traffic_profile().spellings for name in names]
    gates = resolve((spelling, "") for spelling in spellings)
    assert len(spellings) == 20
    assert len({gate.kkmc for gate in gates.values()}) == 19
    assert not any(gate.proposed for gate in gates.values())


def test_known_codenames_are_ascii_and_of_one_form():
    for gate in known_gates():
        assert re.fullmatch(r"[A-Za-z0-9]+_[A-Z][a-z]+_K\d+", gate.kkmc)
        assert gate.stake in gate.kkmc and len(gate.kkmc) <= 50
        assert gate.boundary in ("省际", "市际")


def test_an_unknown_spelling_is_proposed_under_a_name_of_its_own():
    known = known_gates()[0]
    # Nearly the name of a known gate, at the same road and stake: still not the same gate by guess.
    spelling = known.name + "北侧"
    gate = resolve([(spelling, known.xzqhmc), (known.name, "")])[spelling]
    assert gate.proposed and gate.kkmc != known.kkmc
    assert gate.looks_like == known.name
    assert (gate.lon, gate.lat) == (None, None)


def test_two_unknown_spellings_never_share_a_codename_and_order_does_not_matter():
    spellings = [(f"沛县G343国道K12第{n}卡口", "沛县") for n in range(5)] + [("奇怪的地方", ""), ("!!!", "")]
    gates = resolve(spellings)
    codes = [gates[spelling].kkmc for spelling, _ in spellings]
    assert len(set(codes)) == len(codes)
    assert all(code.isascii() and 0 < len(code) <= 50 for code in codes)
    assert resolve(reversed(spellings)) == gates


def test_a_codename_as_spelling_is_known():
    assert resolve([("S325_Suining_K63", "")])["S325_Suining_K63"].kkmc == "S325_Suining_K63"
