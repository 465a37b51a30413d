"""The rules and the knowledge of the stream, read again when a file has changed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from kakou.detection.files import load_known, no_rules
from kakou.detection.horizon import History, Past
from kakou.detection.knowledge import Knowledge, knows_nothing
from kakou.detection.plate_file import past_in_force
from kakou.detection.refusals import Reason, Refusal, said
from kakou.detection.rule_files import rule_in_force, usual_rule
from kakou.detection.rules import Rules, RuleSettings
from kakou.errors import BadInputError, KakouError
from kakou.settings import Settings


@dataclass(frozen=True)
class Known:
    """What detection goes by; ``version`` changes when it does.

    ``refused`` are gates and pairs of gates whose geometry is not used; ``past`` is asked for single plates,
    and ``forgotten`` says why it knows none, "" where all is well.
    """

    version: tuple[int, ...]
    rules: Rules
    knowledge: Knowledge
    rule: RuleSettings
    refused: list[Refusal] = field(default_factory=list)
    past: History = field(default_factory=Past)
    forgotten: str = ""


_LOG = structlog.get_logger("kakou.stream")
_known: Known | None = None


def current_rules(settings: Settings) -> Known:
    """What detection goes by now.

    A file that cannot be read does not stop the stream: what was known before it stays. At the start, where
    nothing was, a rule that cannot be read is replaced by that of the settings, and without gates nothing is
    looked for. Where the file of single plates cannot be used, nothing is known of any.
    """
    global _known
    learned = settings.travel_times_file, settings.knowledge_file
    files = [settings.clean_dir / "kkmc_dimension.csv", *learned, settings.rule_file]
    changed = (*map(_changed, files), _past_changed(settings, _known))
    if _known is None or _known.version != changed:
        rule = _rule(settings)
        try:
            rules, knowledge, refused = load_known(settings, rule)
        except KakouError as error:
            kept = "Detection goes on with what it knew." if _known else "Detection looks for nothing."
            print(f"kakou: {error} {kept}", file=sys.stderr)
            rules = _known.rules if _known else no_rules(settings)
            knowledge = _known.knowledge if _known else knows_nothing([])
            refused = _known.refused if _known else []
        if _who(refused) != _who(_known.refused if _known else []):
            _LOG.warning("places_not_used", gates=[one.label for one in refused], why=said(refused))
        past, forgotten = past_in_force(settings, knowledge)
        if forgotten and forgotten != (_known.forgotten if _known else ""):
            _LOG.warning("single_plates_unknown", why=forgotten)
        _known = Known(changed, rules, knowledge, rule, refused, past, forgotten)
        _known = replace(_known, version=(*changed[:-1], _past_changed(settings, _known)))
    return _known


def _who(refused: list[Refusal]) -> set[tuple[tuple[str, ...], Reason]]:
    """Who is not used and why, without how far off they are, which is no news."""
    return {(one.gates, one.reason) for one in refused}


def _rule(settings: Settings) -> RuleSettings:
    try:
        return rule_in_force(settings)
    except BadInputError as error:
        kept = "goes on with the rule it had" if _known else "takes the rule of the settings"
        print(f"kakou: {error} Detection {kept}.", file=sys.stderr)
        return _known.rule if _known else usual_rule(settings)


def _past_changed(settings: Settings, known: Known | None) -> int:
    return _changed(settings.past_dir / known.knowledge.past) if known and known.knowledge.past else 0


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
