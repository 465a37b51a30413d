"""How far each file of the log has been acknowledged by Kafka."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from kakou.whole_files import draft_of


class Positions:
    """Offsets by file name, kept in one small file that is replaced whole and synced to disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offsets: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.offsets = {str(name): int(offset) for name, offset in stored["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.offsets = {}
        self._saved = dict(self.offsets)

    @property
    def fresh(self) -> bool:
        """True if nothing was ever shipped from here."""
        return not self._saved

    def save(self, present: Collection[str]) -> None:
        """Writes the offsets of the files that still exist; nothing to do if none changed."""
        wanted = {name: offset for name, offset in self.offsets.items() if name in present}
        if wanted == self._saved:
            return
        with draft_of(self._path, durable=True) as draft:
            draft.write_text(json.dumps({"files": wanted}), encoding="utf-8")
        self._saved = wanted
        self.offsets = dict(wanted)
