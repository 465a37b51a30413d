"""Spellings name gates: 20 known ones are 19 gates, and an unknown one is its own."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.gate import normal_form
from etl.gate_proposals import why_not
from etl.generate.profile import traffic_profile
from etl.registry import known_gates, resolve

KNOWN = "徐州市睢宁县S325淮宿线K63(325省道)63K+100M东侧-向西卡口市际卡口"


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


def test_two_unknown_spellings_never_share_a_codename():
    spellings = [(f"沛县G343国道K12第{n}卡口", "沛县") for n in range(5)] + [("奇怪的地方", ""), ("!!!", "")]
    gates = resolve(spellings)
    codes = [gates[spelling].kkmc for spelling, _ in spellings]
    assert len(set(codes)) == len(codes)
    assert all(code.isascii() and 0 < len(code) <= 50 for code in codes)


DISTRICTS = st.sampled_from([None, "", "沛县", "丰县"])
WORDS = st.text("沛县G343国道K12ｋ（ ", min_size=1, max_size=8) | st.sampled_from([KNOWN, KNOWN.lower()])


@given(st.lists(st.tuples(WORDS, DISTRICTS), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_spellings_does_not_matter(spellings, chance: random.Random):
    shuffled = list(spellings)
    chance.shuffle(shuffled)
    assert resolve(shuffled) == resolve(spellings) == resolve([*spellings, *shuffled])


def test_the_district_that_is_given_somewhere_is_used():
    spelling = "G343国道K12卡口"
    for spellings in ([(spelling, ""), (spelling, "沛县")], [(spelling, "沛县"), (spelling, None)]):
        assert resolve(spellings)[spelling].kkmc == "G343_Peixian_K12"
    assert resolve([(spelling, None)])[spelling].xzqhmc == ""


def test_of_several_districts_the_same_is_used_in_every_process():
    # A set of texts has another order in each process.
    districts = ["沛县", "丰县", "睢宁县", "邳州市", "新沂市", "铜山县"]
    assert resolve([("G343国道K12卡口", one) for one in districts])["G343国道K12卡口"].xzqhmc == "丰县"


def test_a_codename_as_spelling_is_known():
    assert resolve([("S325_Suining_K63", "")])["S325_Suining_K63"].kkmc == "S325_Suining_K63"


def test_normal_forms_of_known_names_belong_to_one_gate_each():
    owners: dict[str, set[str]] = {}
    for gate in known_gates():
        for name in (gate.kkmc, *gate.aliases):
            owners.setdefault(normal_form(name), set()).add(gate.kkmc)
    assert all(len(codes) == 1 for codes in owners.values())
    assert len(owners) == 20 + 19


@pytest.mark.parametrize(
    "writing",
    [
        KNOWN.replace("(", "（").replace(")", "）"),
        KNOWN.replace("S325", "Ｓ３２５"),
        KNOWN.replace("淮宿线", " 淮宿线\u3000"),
        KNOWN.lower(),
        "\ufeff" + KNOWN + " ",
    ],
)
def test_another_writing_of_a_known_name_is_that_gate(writing):
    assert writing != KNOWN
    assert resolve([(writing, "")])[writing].kkmc == "S325_Suining_K63"


@pytest.mark.parametrize("other", [KNOWN.replace("K63", "K64"), KNOWN.replace("63K", "6 3K"), KNOWN[:-1]])
def test_another_name_is_proposed(other):
    assert resolve([(other, "睢宁县")])[other].proposed


def test_writings_of_one_unknown_name_are_one_proposal():
    writings = ["沛县G343国道K12（南）卡口", "沛县G343国道K12(南)卡口", "沛县 G343国道 k12(南)卡口"]
    gates = resolve([(one, "") for one in writings])
    assert len({gate.kkmc for gate in gates.values()}) == 1
    assert set(gates[writings[0]].aliases) == set(writings)


def test_a_registry_of_a_thousand_gates_is_searched_for_likeness_in_time():
    known = resolve((f"沛县G{n}国道K{n}江苏徐州第{n}卡口", "沛县") for n in range(1000, 1900)).values()
    unknown = "沛县G1234国道K1234江苏徐州第1234卡口东侧"
    assert (
        resolve([(unknown, "")], tuple(known))[unknown].looks_like == "沛县G1234国道K1234江苏徐州第1234卡口"
    )


@pytest.mark.parametrize(
    ("spelling", "words"),
    [
        (KNOWN.replace("K63", "K64"), "another stake mark: K64, not K63"),
        (KNOWN.replace("S325", "S326", 1), "another road: S326, not S325"),
        (KNOWN.replace("东侧", "西侧"), "'东' → '西'"),
    ],
)
def test_why_it_was_not_merged_is_said(spelling, words):
    zh, en = why_not(spelling, KNOWN)
    assert words in en and zh != en
    assert "no known gate" in why_not(spelling, "")[1]
