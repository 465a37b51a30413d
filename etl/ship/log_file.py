"""Edge: which files lie at the names of a log right now, and how each is known."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.io.pass_log import log_files, whole_size

HEAD: Final = 512
_SAME: Final = 1 << 16
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line without its line end, and where it lies: file, first byte, first byte after it."""

    file: str
    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of the log as it was met.

    Attributes:
        path: where it lay. inode: of the file itself, which a rename does not change.
        head: its first line, at most ``HEAD`` bytes of it; empty while no whole first line is there.
        size: bytes. current: it is the one that is written to, not a rotated one.
    """

    path: Path
    inode: int
    head: bytes
    size: int
    current: bool

    @property
    def name(self) -> str:
        """The inode alone would not do: after a rotated file is deleted, the next one may get the same."""
        return f"{self.inode:x}-{hash_of(self.head)}"

    def whole(self) -> int:
        """Its size up to the last line end; 0 if it is gone."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            return whole_size(handle, os.fstat(handle).st_size)
        finally:
            os.close(handle)


def hash_of(head: bytes) -> str:
    """What stands in a name for the first line."""
    return hashlib.sha256(head).hexdigest()[:12]


def read_head(handle: int) -> bytes:
    """The first line of an open file, see ``Seen.head``."""
    head = os.pread(handle, HEAD, 0)
    cut = head.find(b"\n")
    if cut < 0:
        return head if len(head) == HEAD else b""
    return head[: cut + 1]


def scan(log: Path) -> list[Seen]:
    """The files of the log, oldest first, as they lay together at one moment.

    A rotation in the middle of looking would show a file twice or hide one; then it is looked again.
    """
    seen: list[Seen] = []
    for _ in range(_TRIES):
        before = _inodes(log)
        seen = [one for one in (_look_at(path, log) for path in before) if one is not None]
        if [one.inode for one in seen] == list(before.values()) and _inodes(log) == before:
            break
    return seen


def same_beginning(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes, as far as both go and at most 64 KB."""
    with first.open("rb") as one, second.open("rb") as other:
        beginnings = one.read(_SAME), other.read(_SAME)
    length = min(map(len, beginnings))
    return beginnings[0][:length] == beginnings[1][:length]


def _inodes(log: Path) -> dict[Path, int]:
    found = {}
    for path in log_files(log):
        try:
            found[path] = path.stat().st_ino
        except FileNotFoundError:
            continue
    return found


def _look_at(path: Path, log: Path) -> Seen | None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        state = os.fstat(handle)
        return Seen(path, state.st_ino, read_head(handle), state.st_size, path == log)
    finally:
        os.close(handle)
