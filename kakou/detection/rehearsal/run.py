"""Edge: a rehearsal from the stored passes to its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import polars as pl

from kakou.detection.evidence.files import places_of
from kakou.detection.evidence.page import Place, page_of
from kakou.detection.files import demand_writable, read_gates, registered_gates
from kakou.detection.horizon import History, Past
from kakou.detection.knowledge import Knowledge, learn_knowledge, with_gates
from kakou.detection.knowledge_bytes import from_bytes
from kakou.detection.learned_rules import rules_of
from kakou.detection.past import PastWithout
from kakou.detection.plate_file import PlateFile, past_in_force
from kakou.detection.rehearsal.comparison import Reviewed, Said, compare, hold_against_reviews, said_of
from kakou.detection.rehearsal.page import rehearsal_page
from kakou.detection.rehearsal.report import Side, report_of, reviews_of
from kakou.detection.rehearsal.stored_days import StoredPasses, read_stored
from kakou.detection.rehearsal.stored_reviews import read_reviews, stored_reviews
from kakou.detection.replay import Replayed, replay
from kakou.detection.rule_files import read_rule, rule_in_force, values_of
from kakou.detection.rules import Rules, RuleSettings
from kakou.detection.times import now_stamp, utc_now
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.whole_files import scratch_folder, write_json, write_text

# What teaches before the first night.
PASSES: Final = "passes"
PAGE: Final = "rehearsal.html"
REPORT: Final = "rehearsal.json"
# Pages of evidence and rows of the lists of added and removed calls; the report holds all of them.
MOST_SHOWN: Final = 300


@dataclass(frozen=True)
class Asked:
    """What is to be rehearsed.

    Attributes:
        rule: file of the new rule.
        against: file of the old one; None takes the rule in force.
        days: how many stored days.
        until: the last one that may be taken; None for any.
        passes: file or folder of passes; None takes archive and batch output.
        gates: CSV of gates; None takes those of the batch.
        reviews: file of reviews; None takes table ``reviews``.
        out: the folder to make; None takes one under ``<var>/rehearsals``.
    """

    rule: Path
    against: Path | None = None
    days: int = 7
    until: date | None = None
    passes: Path | None = None
    gates: Path | None = None
    reviews: Path | None = None
    out: Path | None = None


@dataclass(frozen=True)
class _Judged:
    """What the replay of a rule gave."""

    source: str
    rules: Rules
    done: Replayed

    @property
    def said(self) -> list[Said]:
        weighing = self.rules.weighing
        return [said_of(one, self.done.cases[one.alert_id], weighing) for one in self.done.alerts]

    @property
    def side(self) -> Side:
        rule = RuleSettings(self.rules.limits, self.rules.fallback_kmh, self.rules.weighing)
        verdicts = Counter(str(one.verdict) for one in self.done.alerts)
        return Side(self.source, values_of(rule), self.done.counts, verdicts)


def rehearse(
    settings: Settings, asked: Asked, on_progress: Callable[[int, int], None] = lambda rows, of: None
) -> tuple[Path, dict[str, Any]]:
    """Judges stored passes by two rules, and writes what differs.

    Args:
        on_progress: told after each piece how many passes it had, and how many there are to judge; each pass
            is judged twice.

    Returns:
        the folder, which appears whole, and what its ``rehearsal.json`` holds.

    Raises:
        BadInputError: a file cannot be used, no day is stored, or the folder is there already.
        StateFormatError: what was learned was written by another version.
    """
    new = read_rule(asked.rule, settings)
    old = read_rule(asked.against, settings) if asked.against else rule_in_force(settings)
    stamp = now_stamp(utc_now(), settings.timezone)
    name = f"{new.weighing.version}-{stamp[:19].replace('-', '').replace(':', '')}"
    out = _demand_new(asked.out or settings.var / "rehearsals" / name)
    gates = read_gates(asked.gates) if asked.gates else registered_gates(settings)
    stored = read_stored(settings, asked.days, asked.until, asked.passes)
    reviews, read = _reviews(settings, asked.reviews, stored)
    knowledge, taught_by = _knowledge(settings, gates, stored)
    past, of_past = _past(settings, knowledge, stored) if taught_by != PASSES else (Past(), None)

    def judged(rule: RuleSettings, source: str) -> _Judged:
        rules, _ = rules_of(gates, knowledge, rule)
        passes, total = stored.passes, 2 * len(stored.passes)
        done = replay(
            passes, rules, knowledge, past, settings.timezone,
            on_progress=lambda rows: on_progress(rows, total),
        )  # fmt: skip
        return _Judged(source, rules, done)

    one, two = judged(old, _source(settings, asked.against)), judged(new, str(asked.rule))
    matters = compare(one.said, two.said)
    reviewed = None if isinstance(reviews, str) else hold_against_reviews(matters, reviews)
    report = {
        "made_at": stamp,
        **_passes(stored),
        "knowledge": {"from": taught_by, "version": knowledge.version, "single_plates": of_past},
        **report_of(one.side, two.side, matters, stored.days, reviewed),
        "reviews": {"from": read, "known": reviewed is not None}
        | ({"why": reviews} if reviewed is None else reviews_of(reviewed)),
    }
    _write(out, report, one, two, gates)
    return out, report


def _demand_new(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInputError(f"--out {out} is there already. Name a folder that is not.")
    demand_writable(out / PAGE, None)
    return out


def _passes(stored: StoredPasses) -> dict[str, Any]:
    return {
        "days": [
            {"day": day.isoformat(), "from": source, "passes": count}
            for day, (source, count) in stored.days.items()
        ],
        "missing_days": [day.isoformat() for day in stored.missing],
        "order": stored.order,
    }


def _source(settings: Settings, against: Path | None) -> str:
    if against is not None:
        return str(against)
    return str(settings.rule_file) if settings.rule_file.exists() else "settings"


def _reviews(settings: Settings, file: Path | None, stored: StoredPasses) -> tuple[list[Reviewed] | str, str]:
    """The reviews, or why there are none, and where they are from."""
    if file is not None:
        return read_reviews(file, stored.days), str(file)
    try:
        return stored_reviews(settings, stored.days), "reviews"
    except StorageError as error:
        return str(error), "reviews"


def _knowledge(settings: Settings, gates: pl.DataFrame, stored: StoredPasses) -> tuple[Knowledge, str]:
    """What the stream goes by now, or what the passes teach; and which of the two."""
    names = gates["kkmc"].unique(maintain_order=True).to_list()
    if not settings.knowledge_file.exists():
        return learn_knowledge(stored.passes, names), PASSES
    return with_gates(from_bytes(settings.knowledge_file.read_bytes()), names), str(settings.knowledge_file)


def _past(settings: Settings, knowledge: Knowledge, stored: StoredPasses) -> tuple[History, dict[str, Any]]:
    """What the stream knows of single plates, but for what the judged days themselves have told; and what is
    to be said of it."""
    known, why = past_in_force(settings, knowledge)
    if not isinstance(known, PlateFile):
        return known, {"file": None, "days": 0, "why": why}
    past = PastWithout(known, stored.passes)
    return past, {"file": knowledge.past, "days": len(past.days), "why": None}


def _write(out: Path, report: dict[str, Any], old: _Judged, new: _Judged, gates: pl.DataFrame) -> None:
    places = places_of(gates)
    try:
        with scratch_folder(out.parent, out.name) as scratch:
            draft = scratch / "rehearsal"
            draft.mkdir()
            for name in ("added", "removed"):
                for number, one in enumerate(report[name]):
                    one["pages"] = {
                        side: _write_evidence(draft, side, one[side], judged.done, places)
                        if number < MOST_SHOWN
                        else None
                        for side, judged in (("old", old), ("new", new))
                    }
            write_json(draft / REPORT, report)
            write_text(draft / PAGE, rehearsal_page(report, MOST_SHOWN))
            draft.rename(out)
    except OSError as error:
        raise BadInputError(f"{out} cannot be written ({error.strerror}). Name another folder.") from error


def _write_evidence(
    folder: Path, side: str, said: dict[str, Any] | None, done: Replayed, places: Mapping[str, Place]
) -> str | None:
    """The name of the page of what a rule says; None where it says nothing."""
    if said is None:
        return None
    alert = next(one for one in done.alerts if one.alert_id == said["alert_id"])
    name = f"{alert.hphm}-{side}-{alert.alert_id[:8]}.html"
    write_text(folder / name, page_of(alert, done.tracks[alert.alert_id], places))
    return name
