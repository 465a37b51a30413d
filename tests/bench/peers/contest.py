"""What a contestant is given, and how it tells how far it is and what it found. Nothing but Python is needed.

A job is a JSON file: ``kafka`` (options by librdkafka's names), ``topic``, ``partitions``, ``rule`` (for
``contradict.Rule``), ``out`` (folder for what is told), ``state`` (folder for state), ``share`` and
``shares`` (this process is one of so many), ``jars``, and ``options`` of the contestant.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

TELL_S = 0.1


def read_job(path: str) -> dict[str, Any]:
    """Reads the job."""
    return dict(json.loads(Path(path).read_text("utf-8")))


class Told:
    """The two files of one process: ``progress-*.jsonl`` and ``found-*.jsonl``.

    Attributes:
        counts: records handled so far, by partition or by subtask; whoever counts may set it at any time. It
            is written ten times a second while it changes, each time with the moment (monotonic clock, which
            all processes share): by a thread, or where there can be none, by ``tell_if_due``.
    """

    def __init__(self, out: str, name: str = "", thread: bool = True) -> None:
        folder, ending = Path(out), f"{name}{os.getpid()}.jsonl"
        self.counts: dict[str, int] = {}
        self._progress = (folder / f"progress-{ending}").open("a", encoding="utf-8", buffering=1)
        self._found = (folder / f"found-{ending}").open("a", encoding="utf-8", buffering=1)
        self._due = 0.0
        if thread:
            threading.Thread(target=self._tell_on, daemon=True).start()

    def found(self, plate: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Notes contradictions; they are written before this returns."""
        for first, second in pairs:
            self._found.write(json.dumps([plate, first, second], ensure_ascii=False) + "\n")

    def tell(self) -> None:
        """Writes how far it is."""
        line = {"at": time.monotonic(), "counts": dict(self.counts)}
        self._progress.write(json.dumps(line) + "\n")

    def tell_if_due(self) -> None:
        """The same, unless it was done within the last tenth of a second."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + TELL_S
            self.tell()

    def _tell_on(self) -> None:
        last: dict[str, int] = {}
        while True:
            time.sleep(TELL_S)
            now = dict(self.counts)
            if now != last:
                self.tell()
                last = now
