"""Edge: the rule in force, where each of its values is from, and putting another one in force."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from kakou.detection.knowledge_bytes import from_bytes
from kakou.detection.rule_files import keys_named, read_rule, rule_in_force, usual_rule, values_of
from kakou.detection.rules import RuleSettings
from kakou.errors import BadInputError
from kakou.process_lock import one_after_another
from kakou.settings import Settings
from kakou.whole_files import draft_of

Origin = Literal["file", "settings", "reviews", "default"]
_SETTING_OF: Final = {
    "window_minutes": "detection_window_minutes",
    "lateness_minutes": "lateness_minutes",
    "future_minutes": "future_minutes",
    "fallback_kmh": "fallback_kmh",
}
_REVIEWED: Final = ("prior", "trust")


def explain_rule(settings: Settings) -> dict[str, tuple[str | float, Origin]]:
    """The keys of the rule in force, with their values and where these are from.

    Raises:
        BadInputError: the rule's file is none.
        StateFormatError: what was learned was written by another version.
    """
    rule = rule_in_force(settings)
    named = keys_named(settings.rule_file) if settings.rule_file.exists() else frozenset()
    reviewed = None
    if settings.knowledge_file.exists():
        reviewed = from_bytes(settings.knowledge_file.read_bytes()).reviewed
    weighing = rule.weighing.calibrated(reviewed)

    def origin(key: str) -> Origin:
        if key in named:
            return "file"
        if key in _REVIEWED and reviewed is not None and not rule.weighing.fixed:
            return "reviews"
        return "settings" if _SETTING_OF.get(key) in settings.model_fields_set else "default"

    return {key: (value, origin(key)) for key, value in values_of(replace(rule, weighing=weighing)).items()}


def adopt_rule(settings: Settings, path: Path) -> Path | None:
    """Puts the rule of a file in force; the running stream takes it with its next batch.

    Returns:
        where the former rule's file is kept; None if there was none.

    Raises:
        BadInputError: the file is no rule, or its version names another rule already: the one in force, one
            that was and whose file is kept, or that of the settings.
    """
    new, text = read_rule(path, settings), path.read_bytes()
    with _alone(settings):
        _demand_own_name(settings, path, new)
        kept = _kept_name(settings)
        if kept is not None:
            kept.hardlink_to(settings.rule_file)
        with draft_of(settings.rule_file, durable=True) as draft:
            draft.write_bytes(text)
    return kept


def retire_rule(settings: Settings) -> Path | None:
    """Puts the settings' own rule in force again.

    Returns:
        where the former rule's file is kept; None if there was none.
    """
    with _alone(settings):
        kept = _kept_name(settings)
        return settings.rule_file.rename(kept) if kept is not None else None


def _alone(settings: Settings) -> AbstractContextManager[None]:
    return one_after_another(settings.run_dir / ".rule.lock")


def _demand_own_name(settings: Settings, path: Path, new: RuleSettings) -> None:
    """Alerts are told apart by the version, and by nothing else."""
    file = settings.rule_file
    known = [
        ("The rule of the settings", usual_rule(settings)),
        ("The rule in force", _rule_of(settings, file)),
    ]
    kept = sorted(file.parent.glob(f"{file.stem}-*{file.suffix}"))
    known += [(f"A former rule, kept as {one},", _rule_of(settings, one)) for one in kept]
    for which, rule in known:
        if rule and rule.weighing.version == new.weighing.version and rule != new:
            raise BadInputError(
                f"{which} is called {new.weighing.version} too, and says otherwise. Give {path} another "
                "version: alerts are told apart by it."
            )


def _rule_of(settings: Settings, file: Path) -> RuleSettings | None:
    """None where there is none, or the file is no rule."""
    try:
        return read_rule(file, settings)
    except BadInputError:
        return None


def _kept_name(settings: Settings) -> Path | None:
    """The name under which the former rule's file stays beside the new one."""
    file = settings.rule_file
    if not file.exists():
        return None
    former = _rule_of(settings, file)
    version = former.weighing.version if former else "unreadable"
    since = datetime.now(ZoneInfo(settings.timezone)).strftime("%Y%m%dT%H%M%S.%f")
    return file.with_name(f"{file.stem}-{version}-{since}{file.suffix}")
