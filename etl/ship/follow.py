"""Follows the pass log over rotation, truncation and restarts: every whole line once, in the order of
writing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.io.pass_log import log_files

CHUNK: Final = 1 << 18
_HEAD: Final = 512


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line without its line end, and where it lies: file, first byte, first byte after it."""

    file: str
    start: int
    end: int
    data: bytes


@dataclass(slots=True)
class _OpenFile:
    handle: int
    inode: int
    head: bytes
    name: str
    offset: int


class LogFollower:
    """Reads the lines behind given positions.

    A file is named by its inode and a hash of its first line. The inode alone would not do: after a rotated
    file is deleted, the next one may get the same. Positions of files that were never seen begin at 0, so
    that a log which was rotated while nobody looked is shipped from its first line.
    """

    def __init__(self, path: Path, positions: dict[str, int]) -> None:
        self._path = path
        self._known = dict(positions)
        self._file: _OpenFile | None = None

    def poll(self) -> list[Line]:
        """The next whole lines, at most about a quarter of a megabyte; empty if there are none yet."""
        if self._file is None and not self._open_first():
            return []
        file = self._file
        if file is None:
            return []
        if os.pread(file.handle, len(file.head), 0) != file.head:
            self._drop()  # truncated, and perhaps written anew: it is another file now
            return []
        # Asked before reading: whoever renames the file has stopped writing to it, so what is read then is
        # its end.
        rotated = self._inode_at_path() != file.inode
        lines = self._read(file)
        if not lines and rotated:
            self._open_next(file)
        return lines

    def rewind(self, positions: dict[str, int]) -> None:
        """Goes on from these positions instead; used when lines behind them were not acknowledged."""
        self._known = {**self._known, **positions}
        self._drop()

    def present(self) -> list[str]:
        """Names of the files that exist, oldest first; positions of others need not be kept."""
        names = []
        for path in log_files(self._path):
            opened = self._open(path)
            if opened:
                names.append(opened.name)
                os.close(opened.handle)
        return names

    def close(self) -> None:
        """Lets go of the file."""
        self._drop()

    def _drop(self) -> None:
        if self._file:
            os.close(self._file.handle)
            self._file = None

    def _inode_at_path(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except FileNotFoundError:
            return None

    def _open(self, path: Path) -> _OpenFile | None:
        """Opens a file; None while it is missing or has no whole first line, as then it has no name yet."""
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        head = os.pread(handle, _HEAD, 0)
        cut = head.find(b"\n")
        if cut < 0 and len(head) < _HEAD:
            os.close(handle)
            return None
        head = head[: cut + 1] if cut >= 0 else head
        inode = os.fstat(handle).st_ino
        name = f"{inode:x}-{hashlib.sha256(head).hexdigest()[:12]}"
        return _OpenFile(handle, inode, head, name, self._known.get(name, 0))

    def _open_first(self) -> bool:
        """Opens the oldest file with unread bytes, else the newest one."""
        found: _OpenFile | None = None
        for path in log_files(self._path):
            opened = self._open(path)
            if opened is None:
                continue
            if found:
                os.close(found.handle)
            found = opened
            if _unread_line(opened):
                break
        self._file = found
        return found is not None

    def _open_next(self, file: _OpenFile) -> None:
        self._known[file.name] = file.offset
        files = log_files(self._path)
        inodes = [self._inode(path) for path in files]
        if file.inode not in inodes:
            self._drop()  # rotated away altogether; the oldest one with unread bytes comes next
            self._open_first()
            return
        following = files[inodes.index(file.inode) + 1 :]
        opened = self._open(following[0]) if following else None
        if opened:
            self._drop()
            self._file = opened

    @staticmethod
    def _inode(path: Path) -> int | None:
        try:
            return path.stat().st_ino
        except FileNotFoundError:
            return None

    def _read(self, file: _OpenFile) -> list[Line]:
        size = CHUNK
        while True:
            data = os.pread(file.handle, size, file.offset)
            cut = data.rfind(b"\n")
            if cut >= 0 or len(data) < size:
                break
            size *= 2  # a line longer than the chunk
        lines = []
        start = file.offset
        for text in data[: cut + 1].split(b"\n")[:-1] if cut >= 0 else ():
            end = start + len(text) + 1
            lines.append(Line(file.name, start, end, text))
            start = end
        file.offset = start
        self._known[file.name] = start
        return lines


def _unread_line(file: _OpenFile) -> bool:
    """True if a whole line lies behind the position; half a line of a killed writer is none."""
    rest = os.pread(file.handle, CHUNK, file.offset)
    return b"\n" in rest or len(rest) == CHUNK
