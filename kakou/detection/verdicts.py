"""From a contradiction to an alert: what is said, how sure, and in which words.

The first rule knows one explanation, two vehicles under one plate. Its confidence is a logistic function of
the evidence, in log-odds:

* ``impossible_travel``: ``1 + 3 * (1 - gap / min_travel)``, so 1 for a trip that is only just too fast and 4
  for two places at once. Monotone: the shorter the gap, the surer.
* ``brand_differs``: 1.5, where both brands are known and differ.

The weights are set by hand and are not calibrated; each is written into the alert beside its words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from kakou.alert import Alert, AlertPass, Evidence, Severity, alert_id, case_id
from kakou.detection.rules import BASIS_HISTORY, Rules
from kakou.detection.times import text_of
from kakou.fields import MISSING

BRAND_WEIGHT: Final = 1.5
_BRAND_MARK: Final = "牌"
_SEVERITIES: Final[tuple[tuple[float, Severity], ...]] = (
    (0.97, "critical"),
    (0.92, "high"),
    (0.80, "medium"),
    (0.0, "low"),
)


def judge(contradictions: pa.Table, rules: Rules, detected_at: str | Sequence[str]) -> list[Alert]:
    """Makes one alert of each contradiction.

    Args:
        contradictions: as ``find_contradictions`` returns them.
        rules: those that found them.
        detected_at: when, with offset; one for all, or one for each.
    """
    rows = contradictions.to_pylist()
    times = [detected_at] * len(rows) if isinstance(detected_at, str) else detected_at
    return [_alert(row, rules, time) for row, time in zip(rows, times, strict=True)]


def brand_of(text: str) -> str | None:
    """The maker in a brand-and-model text, or None where it is unknown.

    >>> brand_of("大众牌SVW7183"), brand_of("大众牌"), brand_of("-")
    ('大众', '大众', None)
    """
    maker = text.strip().partition(_BRAND_MARK)[0].strip()
    return value_of(maker)


def value_of(text: str | None) -> str | None:
    """A field as it was read, or None where nothing was.

    >>> value_of("02"), value_of("-"), value_of("")
    ('02', None, None)
    """
    return None if text in (None, "", MISSING) else text


def confidence_of(evidence: Sequence[Evidence]) -> float:
    """Logistic of the summed weights, to four digits."""
    return round(1 / (1 + math.exp(-sum(one.weight for one in evidence))), 4)


def severity_of(confidence: float) -> Severity:
    """Step of the confidence.

    >>> severity_of(0.99), severity_of(0.93), severity_of(0.85), severity_of(0.7)
    ('critical', 'high', 'medium', 'low')
    """
    return next(name for least, name in _SEVERITIES if confidence >= least)


def _alert(row: dict[str, Any], rules: Rules, detected_at: str) -> Alert:
    first, second = _side(row, "first", rules), _side(row, "second", rules)
    gap, distance = row["gap_seconds"], row["distance_km"]
    evidence = [_impossible_travel(row, first, second, rules)]
    brands = brand_of(first.clppxh), brand_of(second.clppxh)
    if brands[0] and brands[1] and brands[0] != brands[1]:
        evidence.append(_brand_differs(first, second))
    confidence = confidence_of(evidence)
    plate, version = row["hphm"], rules.version
    return Alert(
        alert_id=alert_id(plate, first.gcxh, second.gcxh, version),
        verdict="cloned_plate",
        confidence=confidence,
        severity=severity_of(confidence),
        hphm=plate,
        hpzl=value_of(row["first_hpzl"]) or value_of(row["second_hpzl"]) or MISSING,
        first=first,
        second=second,
        gap_seconds=gap,
        min_travel_seconds=row["min_travel_seconds"],
        distance_km=None if distance is None else round(distance, 1),
        implied_kmh=round(distance / gap * 3600, 1) if distance is not None and gap > 0 else None,
        evidence=tuple(evidence),
        case_id=case_id(plate, version),
        rule_version=version,
        detected_at=detected_at,
    )


def _side(row: dict[str, Any], side: str, rules: Rules) -> AlertPass:
    gate = row[f"{side}_kkmc"]
    return AlertPass(
        gcxh=row[f"{side}_gcxh"],
        kkmc=gate,
        kkmc_name=rules.name_of(gate),
        gcsj=text_of(row[f"{side}_t"]),
        clppxh=row[f"{side}_clppxh"] or MISSING,
    )


def _impossible_travel(row: dict[str, Any], first: AlertPass, second: AlertPass, rules: Rules) -> Evidence:
    gap, least = row["gap_seconds"], row["min_travel_seconds"]
    if row["basis"] == BASIS_HISTORY:
        why_zh, why_en = "按历史通行", "by the passes of the past"
    else:
        speed = f"{rules.fallback_kmh:g}"
        why_zh, why_en = f"按直线距离、时速 {speed} 公里", f"in a straight line at {speed} km/h"
    return Evidence(
        kind="impossible_travel",
        weight=round(1 + 3 * (1 - gap / least), 3),
        zh=f"{gap} 秒内先后经过 {first.kkmc_name} 与 {second.kkmc_name}；{why_zh}，最短也需 {least} 秒。",
        en=f"Seen at {first.kkmc} and {gap} s later at {second.kkmc}; {why_en} it takes at least {least} s.",
    )


def _brand_differs(first: AlertPass, second: AlertPass) -> Evidence:
    return Evidence(
        kind="brand_differs",
        weight=BRAND_WEIGHT,
        zh=f"两次识别的车辆品牌不同：{first.clppxh} 与 {second.clppxh}。",
        en=f"The two passes show different brands: {first.clppxh} and {second.clppxh}.",
    )
