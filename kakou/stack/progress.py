"""Shows how a start goes: a live table in a terminal, one line per step elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class StartDisplay:
    """Used from several threads at once; use it as a context manager."""

    def __init__(self, names: Sequence[str], console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            TextColumn("[dim]{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks = {
            name: self._progress.add_task(name, total=1, note="waiting", start=False) for name in names
        }

    def __enter__(self) -> StartDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begins(self, name: str, note: str) -> None:
        """A step begins, or goes on to its next part."""
        with self._lock:
            self._progress.start_task(self._tasks[name])
            self._progress.update(self._tasks[name], note=note)

    def ready(self, name: str, seconds: float) -> None:
        """A step is done."""
        with self._lock:
            self._progress.update(self._tasks[name], completed=1, note="ready")
            self._line(f"{name} ready ({seconds:.1f} s)")

    def failed(self, name: str) -> None:
        """A step failed; the error itself is reported by who catches it."""
        with self._lock:
            self._progress.update(self._tasks[name], note="[red]failed")
            self._line(f"{name} failed")

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(text, highlight=False)
