"""The alert's JSON is what CONTRACTS names: keys, their order, their types."""

from __future__ import annotations

import json

from kakou.alert import Alert, AlertPass, Evidence, alert_id, case_id

EXAMPLE = Alert(
    alert_id=alert_id("苏C12345", "1", "2", "gap-1"),
    verdict="cloned_plate", confidence=0.97, severity="high",
    hphm="苏C12345", hpzl="02",
    first=AlertPass("1", "A", "甲", "2024-01-15 08:00:10", "大众牌"),
    second=AlertPass("2", "B", "乙", "2024-01-15 08:03:40", "丰田牌"),
    gap_seconds=210, min_travel_seconds=1440, distance_km=31.2, implied_kmh=535.0,
    evidence=(Evidence("impossible_travel", 3.1, "中文", "English"),),
    case_id=case_id("苏C12345", "gap-1"), rule_version="gap-1", detected_at="2024-01-15T08:03:41.120+08:00",
)  # fmt: skip
KEYS = (
    "alert_id", "version", "verdict", "confidence", "severity", "hphm", "hpzl", "first", "second",
    "gap_seconds", "min_travel_seconds", "distance_km", "implied_kmh", "evidence", "case_id", "step",
    "status", "rule_version", "model_version", "detected_at",
)  # fmt: skip
TYPES = {
    "alert_id": str, "version": int, "verdict": str, "confidence": float, "severity": str, "hphm": str,
    "hpzl": str, "first": dict, "second": dict, "gap_seconds": int,
    "min_travel_seconds": int, "distance_km": float,
    "implied_kmh": float, "evidence": list, "case_id": str, "step": int, "status": str, "rule_version": str,
    "model_version": type(None), "detected_at": str,
}  # fmt: skip


def test_keys_in_their_order_with_their_types() -> None:
    body = json.loads(EXAMPLE.to_json())
    assert tuple(body) == KEYS
    assert {name: type(value) for name, value in body.items()} == TYPES
    assert tuple(body["first"]) == tuple(body["second"]) == ("gcxh", "kkmc", "kkmc_name", "gcsj", "clppxh")
    assert body["evidence"] == [
        {"kind": "impossible_travel", "weight": 3.1, "text": {"zh": "中文", "en": "English"}}
    ]
    assert (body["version"], body["status"], body["step"]) == (1, "raised", 1)


def test_one_line_of_utf8() -> None:
    text = EXAMPLE.to_json()
    assert "\n" not in text and "苏C12345" in text


def test_ids_are_hashes_of_what_they_name() -> None:
    one = alert_id("苏C12345", "1", "2", "gap-1")
    assert one == "a7194f8dda88857be18d9b40533ee0ae"  # a change would raise every stored alert again
    others = {
        alert_id("苏C12346", "1", "2", "gap-1"), alert_id("苏C12345", "2", "1", "gap-1"),
        alert_id("苏C12345", "1", "2", "gap-2"), alert_id("苏C12345", "12", "", "gap-1"),
    }  # fmt: skip
    assert len(others | {one}) == 5
