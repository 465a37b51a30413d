"""From a case to its alert: the verdict, how sure it is, and why, in Chinese and English."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kakou.alert import CLONED, Alert, AlertPass, Evidence, Verdict, alert_id, case_id
from kakou.detection.cases import Case
from kakou.detection.horizon import Row
from kakou.detection.reads import severity_of, value_of
from kakou.detection.rules import BASIS_HISTORY, Rules
from kakou.detection.times import text_of
from kakou.detection.weighing import Weighing
from kakou.fields import MISSING, VEHICLE_TYPE_NAMES

_VERDICTS: Final[dict[str, Verdict]] = {
    "clone": CLONED, "misread": "misread", "clock": "clock_fault", "open": "undecided",
}  # fmt: skip
_FEWEST_FOR_SURE: Final = 2
_POSSIBLE: Final = Evidence(
    "possible_when_right", 0.0, "时钟校正后，这些通行一辆车可以做到。",
    "With the clocks set right, one vehicle can have made these passes.",
)  # fmt: skip


def alert_of(case: Case, rules: Rules, stamp: Callable[[int], str]) -> Alert:
    """The alert of a case.

    ``confidence`` is how likely the verdict is right; of ``undecided``, how likely two vehicles drive.

    Args:
        stamp: makes the contract's time stamp of seconds of local time.
    """
    shown, rule = case.strongest, rules.weighing.version
    rows = shown.first.row, shown.second.row
    first, second = (_side(row, rules) for row in rows)
    gap = rows[1].t - rows[0].t
    # A gate may have left the registry since.
    start, end = (rules.code.get(row.kkmc, -1) for row in rows)
    distance = rules.distance_km[start, end] if min(start, end) >= 0 else math.nan
    known = bool(distance == distance)
    verdict = _VERDICTS[case.cause]
    sure = {
        "clone": case.probability, "open": case.probability, "clock": 1 - case.probability,
        "misread": (1 - case.probability) * min((one.share for one in case.odd), default=1.0),
    }[case.cause]  # fmt: skip
    confidence = round(float(sure), 4)
    last = max(one.t for one in (*rows, *(odd.look.row for odd in case.odd)))
    return Alert(
        alert_id=alert_id(case.plate, first.gcxh, second.gcxh, rule),
        verdict=verdict,
        confidence=confidence,
        severity=severity_of(confidence) if verdict == CLONED else "low",
        hphm=case.plate,
        hpzl=value_of(rows[0].hpzl) or value_of(rows[1].hpzl) or MISSING,
        first=first,
        second=second,
        gap_seconds=gap,
        min_travel_seconds=round(shown.least),
        distance_km=round(float(distance), 1) if known else None,
        implied_kmh=round(float(distance) / gap * 3600, 1) if known and gap else None,
        evidence=tuple(_evidence(case, rules, first, second, (start, end))),
        case_id=case_id(case.plate, rule),
        rule_version=rule,
        detected_at=stamp(last),
    )


def possible_after_all(last: Alert, weighing: Weighing, now: str) -> Alert:
    """What is said of a clone when, with the clocks as they are known by now, nothing contradicts any more.

    Args:
        last: what was said before.
        now: the contract's time stamp.
    """
    sure = round(1 - weighing.prior, 4)
    return replace(
        last, verdict="clock_fault", severity="low", confidence=sure, evidence=(_POSSIBLE,), detected_at=now
    )


def _side(row: Row, rules: Rules) -> AlertPass:
    return AlertPass(
        gcxh=row.gcxh, kkmc=row.kkmc, kkmc_name=rules.name_of(row.kkmc), gcsj=text_of(row.t),
        clppxh=row.clppxh or MISSING,
    )  # fmt: skip


def _evidence(
    case: Case, rules: Rules, first: AlertPass, second: AlertPass, at: tuple[int, int]
) -> list[Evidence]:
    shown = case.strongest
    sides = shown.first, shown.second
    right, least = abs(round(shown.gap)), round(shown.least)
    gap = abs(sides[1].row.t - sides[0].row.t) if case.cause == "clock" else right
    learned = min(at) >= 0 and rules.basis[at] == BASIS_HISTORY
    speed = f"{rules.fallback_kmh:g}"
    zh, en = ("按历史通行", "by the passes of the past") if learned else (
        f"按直线距离、时速 {speed} 公里", f"in a straight line at {speed} km/h"
    )  # fmt: skip
    found = [
        Evidence(
            "impossible_travel", 0.0,
            f"{first.kkmc_name} 与 {second.kkmc_name} 相隔 {gap} 秒；{zh}，最短也需 {least} 秒。",
            f"{first.kkmc} and {second.kkmc} {gap} s apart; {en} it takes at least {least} s.",
        )
    ]  # fmt: skip
    makers = [look.maker for look in sides]
    if makers[0] and makers[1] and makers[0] != makers[1]:
        found.append(Evidence(
            "brand_differs", 0.0, f"两次识别的车辆品牌不同：{first.clppxh} 与 {second.clppxh}。",
            f"The two passes show different brands: {first.clppxh} and {second.clppxh}.",
        ))  # fmt: skip
    types = [look.type for look in sides]
    if types[0] and types[1] and types[0] != types[1]:
        names = [VEHICLE_TYPE_NAMES.get(one, one) for one in types if one]
        found.append(Evidence(
            "type_differs", 0.0, f"两次识别的号牌种类不同：{names[0]} 与 {names[1]}。",
            f"The two passes show different plate types: {types[0]} and {types[1]}.",
        ))  # fmt: skip
    for side, offset in zip((first, second), (look.row.t - look.t for look in sides), strict=True):
        if abs(offset) >= 1:
            ahead_zh, ahead_en = ("快", "ahead") if offset > 0 else ("慢", "behind")
            found.append(Evidence(
                "clock", 0.0, f"{side.kkmc_name} 当时的时钟约{ahead_zh} {abs(round(offset))} 秒，已扣除。",
                f"The clock of {side.kkmc} was about {abs(round(offset))} s {ahead_en}; this is taken out.",
            ))  # fmt: skip
    if case.cause == "clock":
        found.append(Evidence(
            "possible_when_right", 0.0, f"时钟校正后相隔 {right} 秒，一辆车可以做到。",
            f"With the clocks set right they are {right} s apart, which one vehicle can do.",
        ))  # fmt: skip
    return found + _about_odd(case)


def _about_odd(case: Case) -> list[Evidence]:
    """What the passes say that are somebody else's."""
    if not case.odd:
        return []
    single, track, count = case.weights["passes"], case.weights["track"], len(case.odd)
    crowd = case.weights.get("crowd", 0.0)
    more_zh, more_en = ("大", "more") if single + crowd > 0 else ("小", "less")
    found = [
        Evidence(
            "other_vehicle", round(single, 3),
            f"{count} 次通行不属于本车；与误识别相比，另有一辆车的可能性更{more_zh}。",
            f"{count} passes are another vehicle's; a second one is {more_en} likely than misreads.",
        )
    ]  # fmt: skip
    if "crowd" in case.weights:
        found.append(Evidence(
            "crowd", round(crowd, 3), "同一卡口前后有多辆车自相矛盾，其时钟存疑，相关通行合计作用有限。",
            "Many plates contradict themselves at the same gate about then: its clock is in doubt, and all "
            "these passes together say little.",
        ))  # fmt: skip
    if count >= _FEWEST_FOR_SURE:
        so_zh, so_en = ("合理", "follow") if track > 0 else ("不连贯", "do not follow")
        found.append(Evidence(
            "second_track", round(track, 3), f"这 {count} 次通行本身构成一条{so_zh}的行车轨迹。",
            f"These {count} passes {so_en} each other as one vehicle's do.",
        ))  # fmt: skip
    if "make" in case.weights:
        found.append(Evidence(
            "second_make", round(case.weights["make"], 3), "同一外来品牌在该车牌下多次出现。",
            "One foreign make shows under this plate again and again.",
        ))  # fmt: skip
    if "before" in case.weights:
        found.append(Evidence(
            "makes_before", round(case.weights["before"], 3), "历史通行中，该车牌下出现过两种品牌。",
            "The passes of the past show two makes under this plate.",
        ))  # fmt: skip
    for plate in sorted({one.neighbour for one in case.odd if one.neighbour and one.share > 0.5}):
        found.append(Evidence(
            "neighbour", 0.0, f"车牌 {plate} 与之只差一位，当时可能正经过该卡口而未被识别到。",
            f"The plate {plate} differs in one character and may have passed there unread.",
        ))  # fmt: skip
    return found
