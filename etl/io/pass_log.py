"""The pass log: whole lines only, rotated by renaming, never allowed to fill the disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

from kakou.errors import DiskFullError

KEEP: Final = 2
DEFAULT_CAP_BYTES: Final = 64 << 20
LEAST_FREE_BYTES: Final = 256 << 20
# No room on the device, in the quota, or under the limit on the size of a file.
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def log_files(path: Path) -> list[Path]:
    """The log and its rotated fellows that exist, oldest first: ``passes.log.2``, ``passes.log.1``,
    ``passes.log``."""
    rotated = [path.with_name(f"{path.name}.{n}") for n in range(KEEP, 0, -1)]
    return [one for one in (*rotated, path) if one.exists()]


class PassLog:
    """Appends lines to ``passes.log``. One writer at a time; readers follow by inode.

    A batch of lines is written with one call and is either whole in the file or not there: after a failed
    write the file is cut back to its last line end.
    """

    def __init__(
        self, path: Path, *, cap_bytes: int = DEFAULT_CAP_BYTES, least_free: int = LEAST_FREE_BYTES
    ) -> None:
        self.path = path
        self._cap, self._least_free = cap_bytes, least_free
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = -1
        self._size = 0
        self._day = date.min
        self._open()

    @property
    def position(self) -> tuple[int, int]:
        """Inode of the current file and its size."""
        return os.fstat(self._file).st_ino, self._size

    def append(self, lines: Sequence[bytes], today: date) -> None:
        """Writes the lines, each without its line end; rotates first if the day changed or the file is full.

        Raises:
            DiskFullError: less room than the least is left, or the write failed for lack of room.
        """
        self.check_room()
        if self._size and (self._size >= self._cap or today != self._day):
            self._rotate()
        if not self._size:
            self._day = today
        data = b"".join(line + b"\n" for line in lines)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)
            if error.errno in _NO_ROOM:
                raise self._full() from error
            raise
        self._size += len(data)

    def check_room(self) -> None:
        """Raises ``DiskFullError`` before the disk is full, as others need room too."""
        if shutil.disk_usage(self.path.parent).free < self._least_free:
            raise self._full()

    def close(self) -> None:
        """Closes the file; it stays whole."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _full(self) -> DiskFullError:
        need = self._least_free >> 20
        return DiskFullError(
            f"Less than {need} MB is free under {self.path.parent}, so the simulation stopped; the log is "
            "whole. Free some room and start it again."
        )

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        state = os.fstat(self._file)
        self._size = whole_size(self._file, state.st_size)
        if self._size < state.st_size:
            os.ftruncate(self._file, self._size)  # a writer that was killed left half a line
        self._day = date.fromtimestamp(state.st_mtime)

    def _rotate(self) -> None:
        self.close()
        for n in range(KEEP - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{n}")
            if older.exists():
                older.replace(self.path.with_name(f"{self.path.name}.{n + 1}"))
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._open()


def whole_size(file: int, size: int) -> int:
    """Size of an open file up to and with the last line end among its first ``size`` bytes; 0 without any."""
    end = size
    while end > 0:
        start = max(0, end - 65536)
        at = os.pread(file, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
