"""How far each file of the log has been acknowledged by Kafka."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection
from pathlib import Path


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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        with draft.open("w", encoding="utf-8") as file:
            json.dump({"files": wanted}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must survive too
        finally:
            os.close(folder)
        self._saved = wanted
        self.offsets = dict(wanted)
