"""The rules and the knowledge of the stream, read again when a file has changed."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from kakou.detection.files import load_known, no_rules
from kakou.detection.knowledge import Knowledge, knows_nothing
from kakou.detection.rules import Rules
from kakou.errors import KakouError
from kakou.settings import Settings


@dataclass(frozen=True)
class Known:
    """What detection goes by; ``version`` changes when it does."""

    version: tuple[int, ...]
    rules: Rules
    knowledge: Knowledge


_known: Known | None = None


def current_rules(settings: Settings) -> Known:
    """What detection goes by now.

    A file that cannot be read does not stop the stream: what was known before it stays, or nothing while
    there is nothing.
    """
    global _known
    learned = settings.travel_times_file, settings.knowledge_file
    files = (settings.clean_dir / "kkmc_dimension.csv", *learned, settings.rule_file)
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    if _known is None or _known.version != changed:
        try:
            rules, knowledge = load_known(settings)
        except KakouError as error:
            print(f"kakou: {error} Detection goes on with what it knew.", file=sys.stderr)
            rules = _known.rules if _known else no_rules(settings)
            knowledge = _known.knowledge if _known else knows_nothing([])
        _known = Known(changed, rules, knowledge)
    return _known
