"""Places that the registry itself contradicts: country, district, stakes of a road."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, drive, frame, honest
from typer.testing import CliRunner

from etl.gates_commands import gates as gates_command
from kakou.detection.districts import FLOOR_KM, far_from_others
from kakou.detection.evidence.files import places_of
from kakou.detection.files import load_rules, read_gates
from kakou.detection.knowledge import knows_nothing, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.past import PastOfPasses
from kakou.detection.refusals import Refusal, said
from kakou.detection.registry import refused_by_registry
from kakou.detection.replay import replay
from kakou.detection.rules import BASIS_HISTORY, BASIS_NONE, Limits, RuleSettings
from kakou.detection.stakes import TOLERANCE_KM, shorter_than_straight
from kakou.settings import Settings

KM_NORTH = 1 / 111.195  # degrees of latitude
Place = tuple[float, float]


def at(east: float, north: float = 0.0) -> Place:
    """LON and LAT of a place so many km from the middle."""
    return 117.0 + east * KM_NORTH / np.cos(np.radians(34.3)), 34.3 + north * KM_NORTH


def registry(*rows: tuple[str, str, str, Place]) -> pl.DataFrame:
    """Gates A, B, … with district, road, stake and place."""
    return pl.DataFrame(
        [(chr(65 + n), f"{n}号卡口", *words, *place) for n, (*words, place) in enumerate(rows)],
        schema=["kkmc", "name", "xzqhmc", "road", "stake", "lon", "lat"], orient="row",
    )  # fmt: skip


def of_district(*places: Place, district: str = "丰县") -> pl.DataFrame:
    return registry(*((district, "", "", place) for place in places))


def of_road(*gates: tuple[str, float], road: str = "G104", districts: str = "") -> pl.DataFrame:
    """Gates with a stake and so many km in the east; a letter for each district."""
    rows = [((districts or "d" * len(gates))[n], road, stake, at(km)) for n, (stake, km) in enumerate(gates)]
    return registry(*rows)


def named(gates: pl.DataFrame) -> list[tuple[str, str]]:
    return [(one.label, str(one.reason)) for one in refused_by_registry(gates)]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((34.3, 117.2), "LON 34.3, LAT 117.2 is not in the country; LON and LAT may be exchanged"),
        ((0.0, 0.0), "LON 0, LAT 0 is not in the country"),
        ((151.2, -33.9), "LON 151.2, LAT -33.9 is not in the country"),
    ],
)
def test_a_place_outside_the_country(place: Place, words: str) -> None:
    (one,) = refused_by_registry(of_district(at(0), place))
    assert one.gates == ("B",) and one.en == f"the place of B on the map: {words}"
    assert "不在国内" in one.zh and ("写反" in one.zh) == ("exchanged" in words)


def test_a_gate_far_from_all_others_of_its_district() -> None:
    (one,) = refused_by_registry(of_district(at(0), at(10), at(10, 15), at(0, 8), at(102)))
    assert (one.label, one.reason) == ("E", "far_from_district")
    assert one.en.endswith("92 km from B, the nearest of the other gates of 丰县")
    assert "距丰县其他卡口中最近的 B 有 92 公里" in one.zh


def test_how_far_is_far() -> None:
    near = (at(0), at(10), at(20))
    assert named(of_district(*near, at(20 + FLOOR_KM - 1))) == []
    assert named(of_district(*near, at(20 + FLOOR_KM + 1))) == [("D", "far_from_district")]


def test_three_gates_do_not_tell_which_one_is_wrong() -> None:
    assert named(of_district(at(0), at(10), at(200))) == []
    unplaced = of_district(at(0), at(10), at(200), at(20)).with_columns(
        pl.when(pl.col("kkmc") != "D").then(pl.col("lon")).alias("lon")
    )
    assert named(unplaced) == []


@pytest.mark.parametrize("gap", [15, 55, 120])
def test_the_end_of_a_long_thin_county_or_an_expressway_is_not_far(gap: float) -> None:
    assert named(of_district(*(at(n * gap) for n in range(8)))) == []
    assert named(of_district(*(at(n * gap) for n in range(8)), at(7 * gap + 3 * gap))) == []


def test_gates_of_both_directions_stand_at_one_place() -> None:
    """The usual gap is that from place to place, here 50 km, and not the one across the road."""
    both = [at(km, north) for km in (0, 50, 100) for north in (0, 0.2)]
    assert named(of_district(*both, at(190))) == []


def test_two_gates_at_one_wrong_place_do_not_vouch_for_each_other() -> None:
    wrong = at(150, 3), at(150, 3.2)
    found = named(of_district(at(0), at(10), at(20), at(5, 20), *wrong))
    assert sorted(found) == [("E", "far_from_district"), ("F", "far_from_district")]


def test_halves_of_a_district_are_not_told_apart() -> None:
    assert named(of_district(at(0), at(5), at(200), at(205))) == []
    km = np.zeros((5, 5))
    assert far_from_others(["丰县"] * 5, km) == []


@pytest.mark.parametrize("district", ["", "-", " "])
def test_gates_without_a_district_are_not_compared(district: str) -> None:
    assert named(of_district(at(0), at(5), at(9), at(200), district=district)) == []


def test_stakes_closer_than_a_straight_line() -> None:
    (one,) = refused_by_registry(of_road(("K10", 0), ("K15+500", 40)))
    assert one.gates == ("A", "B") and one.label == "A – B" and one.reason == "stakes"
    assert one.en == "the straight line from A to B: 40 km, but 6 km by the stakes of G104"
    assert one.zh == "A 与 B 的直线距离：40 公里，而按G104桩号路程为 6 公里"


@pytest.mark.parametrize("road_km", [0, 50, 200])
def test_stakes_and_places_may_be_off_a_little(road_km: int) -> None:
    most = road_km * 1.1 + TOLERANCE_KM
    assert named(of_road(("K100", 0), (f"K{100 + road_km}", most - 0.5))) == []
    assert named(of_road(("K100", 0), (f"K{100 + road_km}", most + 0.5))) == [("A – B", "stakes")]
    assert named(of_road((f"K{100 + road_km}", 0), ("K100", most + 0.5))) == [("A – B", "stakes")]


def test_a_winding_road_contradicts_nothing() -> None:
    assert named(of_road(("K10", 0), ("K96", 34))) == []


def test_the_gate_in_most_contradictions_is_named_alone() -> None:
    found = refused_by_registry(of_road(("K10", 0), ("K20", 10), ("K30", 70), ("K40", 29), ("K50", 38)))
    assert [(one.label, one.reason) for one in found] == [("C", "stakes")]
    assert "by the stakes of G104 the road to A, B, D, E is shorter" in found[0].en
    two = of_road(
        ("K10", 0), ("K20", 10), ("K30", 70), ("K40", 29), ("K50", 38), ("K60", 48), ("K70", -40), ("K80", 68)
    )
    assert sorted(named(two)) == [("C", "stakes"), ("G", "stakes")]


def contradicting(gates: int, *pairs: str) -> tuple[dict[int, list[int]], list[str]]:
    """Who is blamed, and which pairs are left, where these of so many gates stand too far apart."""
    km = np.zeros((gates, gates))
    for a, b in pairs:
        km[ord(a) - 65, ord(b) - 65] = km[ord(b) - 65, ord(a) - 65] = 100.0
    blamed, left = shorter_than_straight(["G104"] * gates, ["K10"] * gates, ["d"] * gates, km)
    return blamed, [chr(65 + one.a) + chr(65 + one.b) for one in left]


def test_who_is_blamed() -> None:
    assert contradicting(9, "AB", "AC", "AD", "HE", "HF") == ({0: [1, 2, 3], 7: [4, 5]}, [])
    assert contradicting(9, "AB", "CD") == ({}, ["AB", "CD"])
    # Both of A and B have one witness beside each other: too few.
    assert contradicting(9, "AB", "AC", "BD") == ({}, ["AB", "AC", "BD"])
    # Three of six against all others: the other three may be the wrong ones as well.
    wrong = [a + b for n, a in enumerate("ABC") for b in "ABCDEF"[n + 1 :]]
    assert contradicting(6, *wrong) == ({}, wrong)
    assert contradicting(7, *wrong, "AG", "BG", "CG")[1] == []


def test_where_stakes_begin_anew_lines_are_left_out_and_no_gate() -> None:
    found = named(of_road(("K90", 0), ("K99", 9), ("K92", 60), ("K101", 69)))
    assert found == [(f"{a} – {b}", "stakes") for a in "AB" for b in "CD"]


def test_a_road_of_another_district_may_count_anew() -> None:
    far = ("K1", 0), ("K2", 40), ("K3", 80)
    assert named(of_road(*far, road="人民路", districts="abc")) == []
    assert named(of_road(*far, road="X201", districts="abc")) == []
    pairs = [("A – B", "stakes"), ("A – C", "stakes"), ("B – C", "stakes")]
    assert named(of_road(*far, road="S325", districts="abc")) == pairs
    # One of three of another district, of another province maybe: no gate is blamed for that.
    one_off = ("K1", 0), ("K2", 1), ("K3", 80)
    assert named(of_road(*one_off, road="S325", districts="aab")) == pairs[1:]
    assert named(of_road(*one_off, road="G104", districts="aab")) == [("C", "stakes")]
    assert named(of_road(*one_off, road="人民路", districts="aaa")) == [("C", "stakes")]


def test_writings_of_a_road_are_one_and_unreadable_stakes_none() -> None:
    gates = registry(
        ("d", "G104", "K10", at(0)), ("d", "Ｇ 104", "k11", at(40)), ("d", "G105", "K12", at(90))
    )
    assert named(gates) == [("A – B", "stakes")]
    for mark in ("", "东侧", "AK11+000", "K10-K12"):
        assert named(of_road(("K10", 0), (mark, 40))) == []
    assert named(of_road(("K10", 0), ("K11", 40), road="")) == []


def test_a_gate_is_named_once_and_no_longer_speaks() -> None:
    gates = registry(
        ("丰县", "G104", "K10", at(0)), ("丰县", "G104", "K11", at(1)), ("丰县", "G104", "K12", at(2)),
        ("丰县", "G104", "K13", at(200)), ("丰县", "G104", "K14", (34.3, 117.0)),
    )  # fmt: skip
    assert named(gates) == [("E", "outside_country"), ("D", "far_from_district")]


def test_gates_of_the_replay_need_no_road_and_no_district() -> None:
    assert refused_by_registry(REGISTRY) == []
    assert refused_by_registry(REGISTRY.clear()) == []
    empty = REGISTRY.with_columns(pl.lit(None, pl.Float64).alias("lon"), pl.lit(None).alias("road"))
    assert refused_by_registry(empty) == []


def test_the_same_whatever_the_order_of_the_gates() -> None:
    gates = registry(
        *(("丰县", "G104", f"K{n}", at(n, n % 3)) for n in range(5)),
        ("丰县", "G104", "K5", at(30)), ("丰县", "", "", at(170)), ("沛县", "S1", "K1", at(0)),
        ("新沂市", "S1", "K2", at(60)),
    )  # fmt: skip
    once = {(tuple(sorted(one.gates)), one.reason) for one in refused_by_registry(gates)}
    assert len(once) == 3
    turned = {(tuple(sorted(one.gates)), one.reason) for one in refused_by_registry(gates.reverse())}
    assert turned == once


def test_what_is_refused_has_no_geometry_and_what_was_learned_stays() -> None:
    known = learn_knowledge(frame(honest(2)), list(GATES))
    words = pl.DataFrame({"road": ["G104", "G104", "", ""], "stake": ["K10", "K12", "", ""]})
    rules, refused = rules_of(pl.concat([REGISTRY, words], how="horizontal"), known, RuleSettings(Limits()))
    assert [one.label for one in refused] == ["A – B"]
    assert np.isnan(rules.distance_km[0, 1]) and np.isnan(rules.distance_km[1, 0])
    assert rules.basis[0, 1] == BASIS_HISTORY and rules.min_travel[0, 1] > 600
    assert np.isfinite(rules.distance_km[0, 2]) and np.isfinite(rules.distance_km[1, 2])

    places = REGISTRY.with_columns(
        pl.when(pl.col("kkmc") == "B").then(34.3).otherwise(pl.col("lon")).alias("lon"),
        pl.when(pl.col("kkmc") == "B").then(117.3).otherwise(pl.col("lat")).alias("lat"),
    )
    rules, refused = rules_of(places, knows_nothing(list(GATES)), RuleSettings(Limits()))
    assert [one.label for one in refused] == ["B"]
    assert np.isnan(rules.distance_km[1]).all() and (rules.basis[1] == BASIS_NONE).all()
    assert (rules.min_travel[1] == -1).all() and rules.min_travel[0, 2] > 0
    assert "B" not in places_of(places) and "A" in places_of(places)


def test_evidence_knows_no_distance_where_it_is_refused() -> None:
    known = learn_knowledge(frame(honest(3)), list(GATES))
    words = pl.DataFrame({"road": ["G104"] * 4, "stake": ["K10", "K10+100", "K10+200", "K10+300"]})
    rules, refused = rules_of(pl.concat([REGISTRY, words], how="horizontal"), known, RuleSettings(Limits()))
    assert len(refused) == 6
    noon = 5 * DAY_S + 11 * 3600
    rows = drive("苏CQQ777", noon, "ABCD") + drive("苏CQQ777", noon + 600, "DCBA", "丰田牌", tag="x")
    passes = frame(sorted(rows, key=lambda row: row[3]))
    (alert,) = replay(passes, rules, known, PastOfPasses(frame(honest(3))), "Asia/Shanghai").alerts
    assert alert.verdict == "cloned_plate" and alert.min_travel_seconds
    assert alert.distance_km is None and alert.implied_kmh is None


def test_before_anything_is_learned_the_registry_counts_too(settings: Settings) -> None:
    settings.clean_dir.mkdir(parents=True)
    (settings.clean_dir / "kkmc_dimension.csv").write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\n"
        "A,甲,甲,丰县,G104,K10,,117.0,34.0\nB,乙,乙,丰县,G104,K12,,117.5,34.0\nC,丙,丙,丰县,,,,117.2,34.1\n",
        encoding="utf-8",
    )
    rules = load_rules(settings)
    assert rules.basis[0, 1] == BASIS_NONE and rules.min_travel[0, 2] > 0


def test_long_lists_end_with_how_many_more_there_are() -> None:
    gates = of_road(*(("K10", 30.0 * n) for n in range(9)))
    lines = said(refused_by_registry(gates), most=3)
    assert len(lines) == 4 and lines[3] == "and 33 more places and lines"


def test_a_file_says_what_it_says(tmp_path: Path) -> None:
    """Places are kept as they are written, so that wrong ones can be named; what is missing stays so."""
    path = tmp_path / "g.csv"
    path.write_text("KKMC,NAME,LON,LAT\nA,甲,34.3,117.2\nB,乙,117.2,\nC,丙,nan,34.3\n", encoding="utf-8")
    read = read_gates(path)
    assert read["lon"].to_list() == [34.3, None, None] and read["xzqhmc"].to_list() == [""] * 3
    assert named(read) == [("A", "outside_country")]


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(gates_command, ["check", *arguments])
    return done.exit_code, done.output


def test_the_command_names_them(tmp_path: Path) -> None:
    nobody = "--registry", str(tmp_path / "none.csv")
    assert check(*nobody) == (0, "19 gates, 19 places; none of which contradicts another\n")
    path = tmp_path / "g.csv"
    path.write_text(
        "KKMC,NAME,XZQHMC,ROAD,STAKE,LON,LAT\nA,甲,丰县,G104,K10,117.0,34.3\nB,乙,丰县,G104,K12,117.5,34.3\n"
        "C,丙,丰县,,,34.3,117.2\n",
        encoding="utf-8",
    )
    code, words = check("--gates", str(path))
    assert code == 1 and "the straight line from A to B: 46 km" in words and "经纬度可能写反" in words
    assert words.endswith("3 gates, 3 places; 2 not used, see above\n")
    code, text = check("--gates", str(path), "--json")
    found = json.loads(text)
    assert code == 1 and (found["gates"], found["placed"]) == (3, 3)
    assert [(one["gates"], one["reason"]) for one in found["refused"]] == [
        (["C"], "outside_country"), (["A", "B"], "stakes"),
    ]  # fmt: skip
    assert set(found["refused"][0]["why"]) == {"zh", "en"}
    assert isinstance(refused_by_registry(read_gates(path))[0], Refusal)
    code, _ = check("--gates", str(path), *nobody)
    assert code == 1


def test_an_own_gate_file_is_checked_over_the_known_gates(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text(
        "KKMC,NAME,ALIASES,XZQHMC,ROAD,STAKE,BOUNDARY,LON,LAT\nG104_Suining_K873,,,,,,,119.895947,33.912474\n",
        encoding="utf-8",
    )
    code, words = check("--registry", str(own))
    assert code == 1 and "the place of G104_Suining_K873 on the map" in words and "睢宁县" in words
