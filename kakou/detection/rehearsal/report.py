"""A rehearsal as an object that JSON can hold: what ``rehearsal.json`` says and its page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from kakou.detection.contradictions import Counts
from kakou.detection.precision import Precision
from kakou.detection.rehearsal.comparison import Matter, ReviewedMatters, Said
from kakou.detection.rehearsal.shifts import SHIFTS, Shift, load_of
from kakou.detection.times import text_of

SIDES: Final = ("old", "new")
CHANGES: Final = ("kept", "removed", "added", "neither")


@dataclass(frozen=True)
class Side:
    """A rule and what became of the passes under it.

    Attributes:
        source: where the rule is from.
        values: as ``rule_files.values_of``, with what reviews moved.
        counts: of the passes.
        verdicts: cases by verdict.
    """

    source: str
    values: Mapping[str, str | float]
    counts: Counts
    verdicts: Mapping[str, int]


def report_of(
    old: Side,
    new: Side,
    matters: Sequence[Matter],
    days: Iterable[date],
    reviewed: ReviewedMatters | None,
) -> dict[str, Any]:
    """What two rules say, side by side.

    Args:
        matters: of ``compare``.
        days: those that were judged.
        reviewed: of ``hold_against_reviews``; None where the reviews could not be read.

    Returns:
        ``rules``, ``passes``, ``verdicts``, ``counts``, ``load``, ``busiest``; ``added``, ``removed`` and
        ``changed`` (kept calls whose severity or confidence is another one), each with both alerts, the
        surest calls first.
    """
    by_change = {change: [one for one in matters if one.change == change] for change in CHANGES}
    sides = {"old": old, "new": new}
    load = {side: load_of(_calls(matters, side), days) for side in SIDES}
    shifts = sorted({*load["old"], *load["new"]}, key=lambda one: (one.day, SHIFTS.index(one.name)))
    changed = [one for one in _surest(by_change["kept"], "new") if one.differs]
    return {
        "rules": {side: {"source": one.source, **one.values} for side, one in sides.items()},
        "differences": [key for key in old.values if old.values[key] != new.values[key]],
        "passes": {side: _of_passes(one.counts) for side, one in sides.items()},
        "verdicts": {side: dict(sorted(one.verdicts.items())) for side, one in sides.items()},
        "counts": {
            "old": len(by_change["kept"]) + len(by_change["removed"]),
            "new": len(by_change["kept"]) + len(by_change["added"]),
            **{change: len(by_change[change]) for change in ("added", "removed", "kept")},
            "changed": len(changed),
            "severity_changed": sum(_severity(one.old) != _severity(one.new) for one in changed),
        },
        "load": [
            {"day": shift.day.isoformat(), "shift": shift.name}
            | {side: load[side].get(shift, 0) for side in SIDES}
            for shift in shifts
        ],
        "busiest": {side: _busiest(load[side]) for side in SIDES},
        "added": [_side_by_side(one, reviewed) for one in _surest(by_change["added"], "new")],
        "removed": [_side_by_side(one, reviewed) for one in _surest(by_change["removed"], "old")],
        "changed": [_side_by_side(one, reviewed) for one in changed],
    }  # fmt: skip


def reviews_of(found: ReviewedMatters) -> dict[str, Any]:
    """What people found out of the calls of both rules: cases by what they found and what becomes of the
    call, and the precision of both rules."""
    return {
        **{
            outcome: {change: found.counts[outcome, change] for change in CHANGES}
            | {"unmatched": found.unmatched[outcome]}
            for outcome in ("confirmed", "false")
        },
        "precision": {"old": _precision(found.old), "new": _precision(found.new)},
    }


def _surest(matters: Iterable[Matter], side: str) -> list[Matter]:
    return sorted(matters, key=lambda one: (-getattr(one, side).alert.confidence, one.begin, one.plate))


def _calls(matters: Iterable[Matter], side: str) -> list[int]:
    said = (getattr(one, side) for one in matters)
    return [one.called for one in said if one is not None and one.called is not None]


def _of_passes(counts: Counts) -> dict[str, int]:
    return {"withheld": counts.withheld, "late": counts.late + counts.future, "duplicates": counts.duplicates}


def _busiest(load: Mapping[Shift, int]) -> dict[str, Any] | None:
    if not any(load.values()):
        return None
    shift = max(load, key=lambda one: load[one])
    return {"day": shift.day.isoformat(), "shift": shift.name, "alerts": load[shift]}


def _severity(said: Said | None) -> str | None:
    return said.alert.severity if said else None


def _side_by_side(matter: Matter, reviewed: ReviewedMatters | None) -> dict[str, Any]:
    return {
        "plate": matter.plate,
        "begin": text_of(matter.begin),
        "last": text_of(matter.last),
        "reviewed": reviewed.of(matter) if reviewed else None,
        **{side: (said := getattr(matter, side)) and said.alert.to_dict() for side in SIDES},
    }


def _precision(found: Precision) -> dict[str, float | None]:
    low, high = found.interval or (None, None)
    return {
        "confirmed": found.confirmed,
        "false": found.false,
        "share": found.share,
        "low": low,
        "high": high,
    }
