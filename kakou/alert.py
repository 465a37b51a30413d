"""The alert: what Kakou says about two passes under one plate. Its JSON is a contract (version 1)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Verdict = Literal["cloned_plate", "misread", "clock_fault", "undecided"]
Severity = Literal["low", "medium", "high", "critical"]

ALERT_VERSION: Final = 1
# The verdict that screens are told of, and that precision is about.
CLONED: Final = "cloned_plate"
_ID_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class AlertPass:
    """One of the two passes of an alert; ``gcsj`` as ``YYYY-MM-DD HH:MM:SS``."""

    gcxh: str
    kkmc: str
    kkmc_name: str
    gcsj: str
    clppxh: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason, with its weight in log-odds (positive speaks for two vehicles) and its words."""

    kind: str
    weight: float
    zh: str
    en: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "weight": self.weight, "text": {"zh": self.zh, "en": self.en}}


@dataclass(frozen=True, slots=True)
class Alert:
    """A verdict on two passes in order of (gcsj, gcxh). Unknown numbers are None."""

    alert_id: str
    verdict: Verdict
    confidence: float
    severity: Severity
    hphm: str
    hpzl: str
    first: AlertPass
    second: AlertPass
    gap_seconds: int
    min_travel_seconds: int | None
    distance_km: float | None
    implied_kmh: float | None
    evidence: tuple[Evidence, ...]
    case_id: str
    rule_version: str
    detected_at: str
    model_version: str | None = None
    step: int = 1
    status: Literal["raised", "withdrawn"] = "raised"
    version: int = field(default=ALERT_VERSION)

    def to_dict(self) -> dict[str, Any]:
        """The contract's object, keys in the contract's order."""
        return {
            "alert_id": self.alert_id,
            "version": self.version,
            "verdict": self.verdict,
            "confidence": self.confidence,
            "severity": self.severity,
            "hphm": self.hphm,
            "hpzl": self.hpzl,
            "first": asdict(self.first),
            "second": asdict(self.second),
            "gap_seconds": self.gap_seconds,
            "min_travel_seconds": self.min_travel_seconds,
            "distance_km": self.distance_km,
            "implied_kmh": self.implied_kmh,
            "evidence": [one.to_dict() for one in self.evidence],
            "case_id": self.case_id,
            "step": self.step,
            "status": self.status,
            "rule_version": self.rule_version,
            "model_version": self.model_version,
            "detected_at": self.detected_at,
        }

    def to_json(self) -> str:
        """One line of JSON, Chinese kept as it is."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Alert:
        """Reads what ``to_json`` wrote."""
        raw = json.loads(text)
        evidence = tuple(
            Evidence(one["kind"], one["weight"], one["text"]["zh"], one["text"]["en"])
            for one in raw["evidence"]
        )
        sides = {side: AlertPass(**raw[side]) for side in ("first", "second")}
        return cls(**raw | sides | {"evidence": evidence})


def alert_id(hphm: str, first_gcxh: str, second_gcxh: str, rule_version: str) -> str:
    """Deterministic id, so that a replay makes the same alert: 32 hex digits of a SHA-256.

    >>> alert_id("苏C12345", "a", "b", "1") == alert_id("苏C12345", "a", "b", "1")
    True
    """
    text = "\x1f".join((hphm, first_gcxh, second_gcxh, rule_version))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_id(text: str) -> bool:
    """Whether a text may be the id of an alert or a case; SQL cannot even compare what is none.

    >>> is_id("0" * 32), is_id("苏C12345")
    (True, False)
    """
    return len(text) <= _ID_LENGTH and text.isascii() and text.isalnum()


def case_id(hphm: str, rule_version: str) -> str:
    """Deterministic id of the case of a plate under a rule: 32 hex digits."""
    return hashlib.sha256(f"case\x1f{hphm}\x1f{rule_version}".encode()).hexdigest()[:32]
