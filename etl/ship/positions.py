"""How far each file of the log has been acknowledged by Kafka, and how far the topic went then."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kakou.whole_files import draft_of


@dataclass(slots=True)
class TopicEnd:
    """A place in the topic behind which every line lies that the positions do not cover.

    Attributes:
        topic: its name. id: its id, which a topic that is made anew does not share; empty if unknown.
        offsets: by partition; a partition without one has to be searched.
    """

    topic: str = ""
    id: str = ""
    offsets: dict[int, int] = field(default_factory=dict)


class Positions:
    """Offsets by file name, kept in one small file that is replaced whole and synced to disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offsets: dict[str, int] = {}
        self.end = TopicEnd()
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.offsets = {str(name): int(offset) for name, offset in stored["files"].items()}
            self.end = _end(stored.get("topic", {}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # lost or damaged: the topic's own records tell, see look_back
        self._saved = self._wanted(self.offsets)

    def saved(self, name: str) -> int:
        """The position that outlives a kill."""
        return int(self._saved["files"].get(name, 0))

    def save(self, present: Collection[str]) -> None:
        """Writes the offsets of the files that still exist; nothing to do if none changed."""
        for name in self.offsets.keys() - set(present):
            del self.offsets[name]
        wanted = self._wanted(self.offsets)
        if wanted == self._saved:
            return
        with draft_of(self._path, durable=True) as draft:
            draft.write_text(json.dumps(wanted), encoding="utf-8")
        self._saved = wanted

    def _wanted(self, offsets: dict[str, int]) -> dict[str, Any]:
        numbers = {str(number): offset for number, offset in self.end.offsets.items()}
        return {
            "files": dict(offsets),
            "topic": {"name": self.end.topic, "id": self.end.id, "offsets": numbers},
        }


def _end(stored: dict[str, Any]) -> TopicEnd:
    offsets = {int(number): int(offset) for number, offset in stored.get("offsets", {}).items()}
    return TopicEnd(str(stored.get("name", "")), str(stored.get("id", "")), offsets)
