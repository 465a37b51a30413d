"""Follows the pass log over rotation, truncation and restarts: every whole line once, in the order of
writing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from etl.ship.log_file import HEAD, Line
from etl.ship.spool import Spool
from etl.ship.spooled import Spooled

CHUNK: Final = 1 << 18


@dataclass(slots=True)
class _OpenFile:
    file: Spooled
    handle: int
    moved: int
    tail: bytes = b""


class LogFollower:
    """Reads the lines behind the positions, out of the spool.

    Files that were never seen begin at 0, so that a log which was rotated while nobody looked is shipped from
    its first line.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._open: _OpenFile | None = None
        self.at_end = False

    def poll(self) -> list[Line]:
        """The next whole lines, at most about a quarter of a megabyte.

        Empty at the end of a file; ``at_end`` tells whether it was the last one.
        """
        opened = self._open or self._open_next()
        lines: list[Line] = []
        if opened:
            # Asked before reading: whoever renames the file has stopped writing to it, so what is read then
            # is its end.
            closed = opened.file.closed
            lines = self._read(opened)
            if not lines and (closed or opened.file.suspect or opened.moved != opened.file.moved):
                self.close()
        if not lines:
            self._spool.look()
        # Where a file is open, it is the one that is written to, or it is left at the next call.
        self.at_end = not lines and (self._spool.next_unread() is None or self._reads_what_is_written())
        return lines

    def _reads_what_is_written(self) -> bool:
        return self._open is not None and not self._open.file.closed

    def close(self) -> None:
        """Lets go of the file."""
        if self._open:
            os.close(self._open.handle)
            self._open = None

    def _open_next(self) -> _OpenFile | None:
        file = self._spool.next_unread()
        if file is None:
            return None
        moved = file.moved
        try:
            handle = file.open()
        except FileNotFoundError:
            self._spool.vanished(file)
            return None
        self._open = _OpenFile(file, handle, moved) if handle >= 0 else None
        return self._open

    def _read(self, opened: _OpenFile) -> list[Line]:
        file, size = opened.file, CHUNK
        at = file.read - file.base
        while True:
            data = os.pread(opened.handle, size, at)
            cut = data.rfind(b"\n")
            if cut >= 0 or len(data) < size:
                break
            size *= 2  # a line longer than the chunk
        if opened.moved != file.moved:
            return []
        # Looked at after reading: a truncated file has lost its first line before it gets other bytes.
        if not _untouched(opened, at):
            file.suspect = True
            return []
        lines = []
        start = file.read
        for text in data[: cut + 1].split(b"\n")[:-1] if cut >= 0 else ():
            end = start + len(text) + 1
            lines.append(Line(file.name, start, end, text))
            start = end
        file.read = start
        opened.tail = data[: cut + 1][-HEAD:] or opened.tail
        return lines


def _untouched(opened: _OpenFile, at: int) -> bool:
    """Whether the first line and the last bytes that were read are where they were."""
    head, tail = opened.file.head if not opened.file.base else b"", opened.tail
    there = os.pread(opened.handle, len(head), 0), os.pread(opened.handle, len(tail), at - len(tail))
    return there == (head, tail)
