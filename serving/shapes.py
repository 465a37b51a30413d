"""What goes in and out of the API. These names are a contract; ``web/src/api/types.ts`` is made of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kakou.detection.reviews import NOTE_MAX, REVIEWER_MAX, Outcome, Reason, Review, fault_of
from serving.plate_pattern import clean_plate


def _blank_is_none(value: Any) -> Any:
    """A form sends an empty field as an empty text."""
    return None if isinstance(value, str) and not value.strip() else value


def _only_text(value: Any) -> Any:
    """A bare number would be taken for seconds since 1970, in another zone."""
    if value is not None and not isinstance(value, str):
        raise ValueError("must be text such as 2024-01-15 08:00:00")
    return _blank_is_none(value)


def _trim(value: Any) -> Any:
    return _blank_is_none(value.strip()) if isinstance(value, str) else value


Text = Annotated[str | None, BeforeValidator(_trim)]
Moment = Annotated[datetime | None, BeforeValidator(_only_text)]


class PassQuery(BaseModel):
    """Which passes to show. Times are local, both ends included; without any filter: all, newest first."""

    model_config = ConfigDict(extra="forbid")

    hphm: Text = Field(None, max_length=40, description="Plate; * stands for any characters, ? for one")
    kkmc: Text = Field(None, max_length=200, description="Gate: codename, name or alias")
    start: Moment = Field(None, description="First pass time", examples=["2024-01-15 08:00:00"])
    end: Moment = Field(None, description="Last pass time", examples=["2024-01-15 09:00:00"])
    hpzl: Text = Field(None, max_length=8, description="Plate type code")
    fxlx: Text = Field(None, max_length=8, description="Direction")
    page: int = Field(1, ge=1, le=1_000_000)
    size: int = Field(20, ge=1, le=200)
    cursor: None = Field(None, description="Not offered yet: use page")

    @model_validator(mode="after")
    def _plate_and_order(self) -> PassQuery:
        if self.hphm is not None:
            self.hphm = clean_plate(self.hphm)
        # One with an offset and one without cannot be compared; the route brings both to the platform's zone.
        comparable = self.start and self.end and bool(self.start.tzinfo) == bool(self.end.tzinfo)
        if comparable and self.start > self.end:  # type: ignore[operator]
            raise ValueError("start must not be after end")
        return self


class PassItem(BaseModel):
    """One pass: the 12 fields, ``gcsj`` as ``YYYY-MM-DD HH:MM:SS``."""

    gcxh: str
    xzqhmc: str
    kkmc: str
    fxlx: str
    gcsj: str
    hpzl: str
    hphm: str
    clppxh: str
    province: str
    is_weekend: int
    is_peak_hour: int
    vehicle_type_name: str


class PassPage(BaseModel):
    total: int
    page: int
    size: int
    next_cursor: str | None
    items: list[PassItem]


class CityFlow(BaseModel):
    """Today so far. ``observed_share`` is null while no hour of today can be judged."""

    today: int
    last_5_min: int
    per_second: float
    observed_share: float | None
    updated_at: str


class NamedValue(BaseModel):
    name: str
    value: int


class HourFlow(BaseModel):
    """One hour: passes counted, and the forecast for it where one is published."""

    hour: int
    value: int
    forecast: float | None
    low: float | None
    high: float | None


class AlertPassItem(BaseModel):
    gcxh: str
    kkmc: str
    kkmc_name: str
    gcsj: str
    clppxh: str


class EvidenceText(BaseModel):
    zh: str
    en: str


class EvidenceItem(BaseModel):
    kind: str
    weight: float
    text: EvidenceText


class AlertItem(BaseModel):
    """A verdict on two passes under one plate, as ``kakou.alert`` writes it."""

    alert_id: str
    version: int
    verdict: Literal["cloned_plate", "misread", "clock_fault", "undecided"]
    confidence: float
    severity: Literal["low", "medium", "high", "critical"]
    hphm: str
    hpzl: str
    first: AlertPassItem
    second: AlertPassItem
    gap_seconds: int
    min_travel_seconds: int | None
    distance_km: float | None
    implied_kmh: float | None
    evidence: list[EvidenceItem]
    case_id: str
    step: int
    status: Literal["raised", "withdrawn"]
    rule_version: str
    model_version: str | None
    detected_at: str


class ReviewInput(BaseModel):
    """What a person says of a warning: a plate was cloned, or none was and why."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome
    reason: Reason | None = Field(None, description="Needed if the outcome is false, and only then")
    note: str = Field("", max_length=NOTE_MAX)
    reviewer: Text = Field(None, max_length=REVIEWER_MAX, description="Default: who is signed in")

    @model_validator(mode="after")
    def _fits(self) -> ReviewInput:
        fault = fault_of(self.by("somebody"))
        if fault:
            raise ValueError(fault)
        return self

    def by(self, caller: str) -> Review:
        """The review, of ``caller`` where nobody is named."""
        return Review(self.outcome, self.reason, self.note, self.reviewer or caller)


class ReviewItem(BaseModel):
    """A review as it is stored; the newest one of any warning of a case counts."""

    id: int
    alert_id: str
    outcome: Outcome
    reason: Reason | None
    note: str
    reviewer: str
    created_at: str


class CaseReview(BaseModel):
    """The review that counts of the case to which a warning belongs; it may be of another warning of it."""

    alert_id: str
    review: ReviewItem


class FlowPrediction(BaseModel):
    """Passes expected at a gate in one hour, with the band that should hold most outcomes."""

    model_config = ConfigDict(protected_namespaces=())

    predicted_flow: int
    low: float
    high: float
    model_version: str


class Gate(BaseModel):
    """A gate. Positions come from public sources and are approximate; null where nobody knows."""

    kkmc: str
    name: str
    xzqhmc: str
    road: str
    stake: str
    boundary: str
    lon: float | None
    lat: float | None


class DetectionCounts(BaseModel):
    """What detection did; null while it has not said or its store is away."""

    withheld: int | None
    late: int | None
    future: int | None
    warnings_today: int | None


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: str = Field(max_length=200)
    password: str = Field(max_length=200)


class Token(BaseModel):
    access_token: str
    expires_in: int


class Health(BaseModel):
    status: Literal["ok"]
    timestamp: str
    version: str


class Readiness(BaseModel):
    status: Literal["ready"]
    timestamp: str
    checks: dict[str, str]
