"""Two rules' verdicts side by side: what is added, removed and kept, shift by shift, and as reviewed."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, drive, frame, honest

from kakou.alert import Alert, AlertPass, Severity, Verdict, alert_id, case_id
from kakou.detection.cases import CASE_S
from kakou.detection.horizon import Past
from kakou.detection.knowledge import learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.precision import Precision
from kakou.detection.rehearsal.comparison import (
    Matter,
    Reviewed,
    Said,
    compare,
    hold_against_reviews,
    said_of,
)
from kakou.detection.rehearsal.shifts import Shift, load_of, shift_at
from kakou.detection.replay import replay
from kakou.detection.rules import Limits, RuleSettings
from kakou.detection.times import stamp_of, text_of
from kakou.detection.weighing import Weighing

# 2024-01-15 08:00:00, local time.
EIGHT = 1_705_305_600
HOUR = 3600


def said(
    plate: str,
    at: int = EIGHT,
    verdict: Verdict = "cloned_plate",
    confidence: float = 0.9,
    severity: Severity = "medium",
    version: str = "old-1",
    lasts: int = 600,
) -> Said:
    first, second = (
        AlertPass(f"{plate}{when}", gate, f"{gate}卡口", text_of(when), "大众牌")
        for gate, when in (("A", at), ("B", at + lasts))
    )
    alert = Alert(
        alert_id=alert_id(plate, first.gcxh, second.gcxh, version), verdict=verdict, confidence=confidence,
        severity=severity, hphm=plate, hpzl="02", first=first, second=second, gap_seconds=lasts,
        min_travel_seconds=1200, distance_km=None, implied_kmh=None, evidence=(),
        case_id=case_id(plate, version), rule_version=version,
        detected_at=stamp_of(at + lasts, "Asia/Shanghai"),
    )  # fmt: skip
    return Said(alert, at, at + lasts, at + lasts if verdict == "cloned_plate" else None)


def changes(matters: list[Matter]) -> dict[str, str]:
    return {one.plate: one.change for one in matters}


def test_calls_are_added_removed_and_kept_whatever_the_ids_say() -> None:
    misread = [said(plate, verdict="misread") for plate in ("苏C00003", "苏C00005")]
    old = [said("苏C00001"), said("苏C00002"), *misread]
    new = [said(plate, version="new-1") for plate in ("苏C00001", "苏C00003", "苏C00004")]
    new.append(said("苏C00005", verdict="undecided", version="new-1"))

    matters = compare(old, new)

    assert changes(matters) == {
        "苏C00001": "kept",
        "苏C00002": "removed",
        "苏C00003": "added",
        "苏C00004": "added",
        "苏C00005": "neither",
    }
    kept, removed, _, added, neither = matters
    assert not kept.differs and neither.differs
    assert removed.new is None and added.old is None


@pytest.mark.parametrize(
    ("confidence", "severity", "differs"),
    [(0.9, "medium", False), (0.9001, "medium", True), (0.99, "critical", True)],
)
def test_a_kept_call_may_be_surer_or_more_severe(
    confidence: float, severity: Severity, differs: bool
) -> None:
    (matter,) = compare([said("苏C00001")], [said("苏C00001", confidence=confidence, severity=severity)])

    assert matter.change == "kept" and matter.differs is differs


def test_cases_of_a_plate_meet_by_time() -> None:
    """As far apart as one rule would still put into one case, and not a second further."""
    old = said("苏C00001")
    near, far = (said("苏C00001", old.last + CASE_S + more) for more in (0, 1))

    assert [one.change for one in compare([old], [near])] == ["kept"]
    assert [one.change for one in compare([old], [far])] == ["removed", "added"]
    # Another plate at the same moment is another matter.
    assert [one.change for one in compare([old], [said("苏C00002")])] == ["removed", "added"]


def test_one_long_case_and_two_short_ones_are_one_matter() -> None:
    """
    old  [=====A=====]
    new  [B]       [C]   B is a misread, C is called: the call is kept.
    """
    old = said("苏C00001", lasts=30 * HOUR)
    new = [
        said("苏C00001", verdict="misread", confidence=0.99),
        said("苏C00001", EIGHT + 29 * HOUR, confidence=0.7),
    ]

    (matter,) = compare([old], new)

    assert matter.change == "kept" and matter.new == new[1]
    assert (matter.begin, matter.last) == (old.begin, old.last)


def test_a_case_is_called_with_the_day_that_says_enough() -> None:
    """
    day 1  [same make, one pass]   not enough for a strict rule
    day 2  [three passes]          enough
    day 3  [three passes]          changes nothing any more
    """
    clone = []
    for day, way, make in ((1, "DB", "大众牌"), (2, "DCB", "丰田牌"), (3, "DCB", "丰田牌")):
        begin = day * DAY_S + 9 * HOUR
        clone += drive("苏C12345", begin, "ABCD") + drive("苏C12345", begin + 60, way, make=make, tag="x")
    passes = frame(sorted([*honest(4), *clone], key=lambda row: row[3]))
    known = learn_knowledge(frame(honest(4)), list(GATES))
    days = {}
    for call_at in (0.5, 0.999):
        rules, _ = rules_of(REGISTRY, known, RuleSettings(Limits(), weighing=Weighing(call_at=call_at)))
        done = replay(passes, rules, known, Past(), "Asia/Shanghai")
        (alert,) = [one for one in done.alerts if one.hphm == "苏C12345"]
        found = said_of(alert, done.cases[alert.alert_id], rules.weighing)
        assert found.called is not None
        days[call_at] = [when // DAY_S for when in (found.begin, found.called, found.last)]
    assert days == {0.5: [1, 1, 3], 0.999: [1, 2, 3]}


def test_the_same_rule_changes_nothing() -> None:
    lot = [
        said(f"苏C0000{n}", EIGHT + n * HOUR, verdict)
        for n, verdict in enumerate(("cloned_plate", "misread"))
    ]

    assert not any(one.differs for one in compare(lot, lot))
    assert compare([], []) == []


@pytest.mark.parametrize(
    ("hour", "minute", "shift"),
    [
        (5, 59, Shift(date(2024, 1, 14), "night")),
        (6, 0, Shift(date(2024, 1, 15), "morning")),
        (13, 59, Shift(date(2024, 1, 15), "morning")),
        (14, 0, Shift(date(2024, 1, 15), "afternoon")),
        (21, 59, Shift(date(2024, 1, 15), "afternoon")),
        (22, 0, Shift(date(2024, 1, 15), "night")),
        (24, 0, Shift(date(2024, 1, 15), "night")),
        (29, 59, Shift(date(2024, 1, 15), "night")),
        (30, 0, Shift(date(2024, 1, 16), "morning")),
    ],
)
def test_boundaries_of_shifts(hour: int, minute: int, shift: Shift) -> None:
    assert shift_at(EIGHT + (hour - 8) * HOUR + minute * 60) == shift


def test_load_names_quiet_shifts_and_the_night_before() -> None:
    load = load_of([EIGHT, EIGHT + 60, EIGHT - 5 * HOUR], [date(2024, 1, 15)])

    assert [(shift.day.day, shift.name, count) for shift, count in load.items()] == [
        (14, "night", 1), (15, "morning", 2), (15, "afternoon", 0), (15, "night", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("confirmed", "false", "low", "high"),
    # From the formula by hand, z = 1.645.
    [(9, 1, 0.6523, 0.9774), (0, 5, 0.0, 0.3511), (5, 0, 0.6489, 1.0), (1, 0, 0.2699, 1.0)],
)
def test_wilson_interval(confirmed: int, false: int, low: float, high: float) -> None:
    found = Precision(confirmed, false)

    assert found.share == confirmed / (confirmed + false)
    assert found.interval == pytest.approx((low, high), abs=1e-4)


def test_without_reviews_there_is_no_precision() -> None:
    assert Precision(0, 0).share is None and Precision(0, 0).interval is None


def test_reviews_meet_what_both_rules_say() -> None:
    plates = [f"苏C0000{n}" for n in range(1, 7)]
    old = [said(plate, verdict="misread" if plate == plates[4] else "cloned_plate") for plate in plates[:5]]
    new = [said(plate) for plate in (plates[0], plates[1], plates[4])]
    reviews = [
        Reviewed(plates[0], EIGHT, "confirmed"),
        Reviewed(plates[1], EIGHT + 600, "false"),
        Reviewed(plates[2], EIGHT, "confirmed"),
        Reviewed(plates[3], EIGHT, "confirmed"),
        Reviewed(plates[3], EIGHT + 600, "false"),  # somebody looked again
        Reviewed(plates[4], EIGHT, "confirmed"),
        Reviewed(plates[5], EIGHT, "confirmed"),  # neither says anything
        Reviewed(plates[0], EIGHT + 3 * CASE_S, "false"),  # of another week
    ]

    matters = compare(old, new)
    found = hold_against_reviews(matters, reviews)

    assert found.counts == {
        ("confirmed", "kept"): 1, ("false", "kept"): 1, ("confirmed", "removed"): 1, ("false", "removed"): 1,
        ("confirmed", "added"): 1,
    }  # fmt: skip
    assert found.unmatched == Counter(confirmed=1, false=1)
    assert (found.old, found.new) == (Precision(2, 2), Precision(2, 1))
    assert [found.of(one) for one in matters] == ["confirmed", "false", "confirmed", "false", "confirmed"]
