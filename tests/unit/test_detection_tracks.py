"""The tracks of a case: separated, kept as JSON, and shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, drive, frame, honest

from kakou.alert import Alert
from kakou.detection.cases import Episode
from kakou.detection.evidence import case_tracks
from kakou.detection.evidence.case_tracks import thinned, way_of
from kakou.detection.evidence.page import page_of
from kakou.detection.evidence.tracks import Seen, Tracks, Way, has_kept_tracks
from kakou.detection.horizon import Look, Row
from kakou.detection.knowledge import Knowledge, knows_nothing, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.likelihood import Odd
from kakou.detection.past import PastOfPasses
from kakou.detection.replay import replay
from kakou.detection.rules import Limits, Rules, RuleSettings

PLATE, NOON = "苏CQQ777", 5 * DAY_S + 11 * 3600
PLACES = {gate: (lon, lat) for gate, lon, lat in REGISTRY.select("kkmc", "lon", "lat").iter_rows()}


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return learn_knowledge(frame(honest(4)), list(GATES))


@pytest.fixture(scope="module")
def rules(knowledge: Knowledge) -> Rules:
    return rules_of(REGISTRY, knowledge, RuleSettings(Limits()))[0]


@pytest.fixture(scope="module")
def told(knowledge: Knowledge, rules: Rules) -> tuple[Alert, Tracks]:
    """Two vehicles under one plate, in opposite directions."""
    rows = drive(PLATE, NOON, "ABCD") + drive(PLATE, NOON + 600, "DCBA", "丰田牌", tag="x")
    passes = frame(sorted(rows, key=lambda row: row[3]))
    found = replay(passes, rules, knowledge, PastOfPasses(frame(honest(4))), "Asia/Shanghai")
    (alert,) = found.alerts
    return alert, found.tracks[alert.alert_id]


def look(second: int, gate: str = "A") -> Look:
    return Look(
        Row(PLATE, second, f"g{second}", gate, "02", "-"), GATES.index(gate), float(second), None, None
    )


def episode(looks: list[Look], odd: tuple[int, ...], least: float = 1.0) -> Episode:
    others = tuple(Odd(looks[at], 0.0, 0.0, None, 0.0) for at in odd)
    return Episode(PLATE, tuple(looks), others, looks[odd[0] - 1], looks[odd[0]], least, 1.0, {})


def test_both_vehicles_are_separated(told: tuple[Alert, Tracks]) -> None:
    _, tracks = told
    ways = ["".join(one.kkmc for one in track) for track in (tracks.own, tracks.other)]
    assert sorted(ways) == ["ABCD", "DCBA"]
    assert {one.clppxh for one in tracks.own}.isdisjoint(one.clppxh for one in tracks.other)


def test_what_is_kept_is_read_as_it_was(told: tuple[Alert, Tracks]) -> None:
    alert, tracks = told
    assert Tracks.from_json(tracks.to_json()) == tracks
    assert Alert.from_json(alert.to_json()) == alert
    few = Tracks((Seen("1", "A", "甲", NOON, NOON - 7, "-", "02"),), (), None, 3)
    assert Tracks.from_json(few.to_json()) == few
    assert few.to_json() == (
        '{"version":1,"gates":{"A":"甲"},"way":null,"own":[{"gcxh":"1","kkmc":"A",'
        '"gcsj":"1970-01-06 11:00:00","right":"1970-01-06 10:59:53","clppxh":"-","hpzl":"02"}],'
        '"other":[],"left_out":3}'
    )


@pytest.mark.parametrize(
    ("verdict", "status", "kept"),
    [
        ("cloned_plate", "raised", True),
        ("undecided", "raised", True),
        ("misread", "raised", False),
        ("clock_fault", "raised", False),
        ("clock_fault", "withdrawn", True),
    ],
)
def test_tracks_are_kept_where_a_person_may_want_them(
    told: tuple[Alert, Tracks], verdict: str, status: str, kept: bool
) -> None:
    assert has_kept_tracks(replace(told[0], verdict=verdict, status=status)) is kept  # type: ignore[arg-type]


def test_of_many_passes_those_nearest_to_the_odd_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_tracks, "MOST_KEPT", 5)
    looks = [look(100 * n) for n in range(20)]
    one = thinned(episode(looks, odd=(10, 11)))
    assert [kept.row.t for kept in one.looks] == [800, 900, 1000, 1100, 1200] and one.left_out == 15
    assert thinned(one) == one
    few = episode(looks[:4], odd=(1,))
    assert thinned(few) == few
    crowded = thinned(episode(looks, odd=tuple(range(1, 9))))
    assert [kept.row.t for kept in crowded.looks] == [100 * n for n in range(9)]


def test_the_way_says_what_it_is_known_by(knowledge: Knowledge, rules: Rules) -> None:
    def between(a: str, b: str, known: Knowledge, by: Rules) -> Way | None:
        least = float(by.least[by.code[a], by.code[b]])
        return way_of(episode([look(0, a), look(60, b)], odd=(1,), least=least), by, known)

    direct = between("A", "B", knowledge, rules)
    assert direct is not None and (direct.basis, direct.trips) == ("history", int(knowledge.trips[0, 1]))
    assert direct.seconds == rules.min_travel[0, 1] and direct.trips > 1000
    pieces = between("A", "D", knowledge, rules)
    assert pieces is not None and (pieces.basis, pieces.trips) == ("composed", 0)
    nothing = knows_nothing(list(GATES))
    by_map, _ = rules_of(REGISTRY, nothing, RuleSettings(Limits(), fallback_kmh=180.0))
    line = between("A", "D", nothing, by_map)
    assert line == Way(int(by_map.min_travel[0, 3]), "map", kmh=180.0)
    assert between("D", "A", nothing, by_map) == line
    # What was decided by other rules is not explained by those of today.
    assert way_of(episode([look(0, "A"), look(60, "B")], odd=(1,), least=1.0), rules, knowledge) is None
    gone = episode([look(0, "A"), look(60, "B")], odd=(1,), least=1.0)
    assert (
        way_of(gone, rules_of(REGISTRY[:1], knows_nothing(["A"]), RuleSettings(Limits()))[0], nothing) is None
    )


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (Way(840, "history", 1234), ("由两卡口间 1,234 次历史行程学得", "learned from 1,234 trips")),
        (Way(840, "history"), ("两卡口间的历史行程", "trips of the past between these two gates")),
        (Way(840, "composed", 2), ("仅 2 次", "put together from trips over gates between")),
        (Way(840, "map", kmh=200.0), ("时速 200 公里", "straight line at 200 km/h")),
    ],
)
def test_the_page_says_the_basis_in_words(
    told: tuple[Alert, Tracks], way: Way, words: tuple[str, ...]
) -> None:
    alert, tracks = told
    page = page_of(alert, replace(tracks, way=way), PLACES)
    assert all(one in page for one in words)
    assert "依据 Basis" not in page_of(alert, replace(tracks, way=None), PLACES)


def test_the_page_tells_how_the_case_went(told: tuple[Alert, Tracks]) -> None:
    alert, tracks = told
    steps = [
        replace(alert, alert_id=f"{n:032x}", step=n, verdict=verdict, status=status, confidence=sure,
                detected_at=f"2024-01-15T08:0{n}:00.000+08:00")
        for n, verdict, status, sure in (
            (1, "undecided", "raised", 0.4), (2, "cloned_plate", "raised", 0.9),
            (3, "cloned_plate", "raised", 0.99), (4, "misread", "withdrawn", 0.8),
        )
    ]  # fmt: skip
    page = page_of(steps[2], tracks, PLACES, steps)
    rows = [row for row in page.split("<tr>") if "2024-01-15 08:0" in row]
    assert [("提出" in row, "更可信" in row, "已撤销" in row) for row in rows] == [
        (True, False, False), (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert ["本页" in row for row in rows] == [False, False, True, False]
    assert "案件经过" not in page_of(alert, tracks, PLACES, [alert])
    assert "另有 7 次通行未列出" in page_of(alert, replace(tracks, left_out=7), PLACES)


def test_nothing_that_a_camera_read_becomes_markup(told: tuple[Alert, Tracks]) -> None:
    evil = "<script>x</script>"
    alert, tracks = told
    own = tuple(replace(one, clppxh=evil, kkmc_name=evil, hpzl=evil, gcxh=evil) for one in tracks.own)
    bad = replace(alert, hphm=evil, rule_version=evil, case_id=evil, alert_id=evil, detected_at=evil)
    page = page_of(bad, Tracks(own, tracks.other), {evil: (1.0, 2.0), **PLACES}, [bad, bad])
    assert "<script" not in page and page.count("&lt;script&gt;") > 5
