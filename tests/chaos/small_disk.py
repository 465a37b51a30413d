"""A disk that can be full: a small tmpfs, whose size is changed under whoever writes to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest


class SmallDisk:
    """Mounted at a folder from ``with`` on until its end.

    Args:
        folder: made if it is not there.
        mib: how much fits while there is room.
    """

    def __init__(self, folder: Path, mib: int) -> None:
        self._folder, self._mib = folder, mib

    def __enter__(self) -> Self:
        if os.geteuid() or not shutil.which("mount"):
            pytest.skip("only root can mount a small disk")
        self._folder.mkdir(parents=True, exist_ok=True)
        told = self._mount("-t", "tmpfs", "-o", f"size={self._mib}m,mode=0755", "tmpfs")
        if told.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {told.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Lazily: a process that a failed test has left may still hold a file.
        subprocess.run(["umount", "-l", str(self._folder)], check=False)

    def fill(self) -> None:
        """No page is left."""
        room = shutil.disk_usage(self._folder)
        self._resize(f"{max(room.used, os.sysconf('SC_PAGE_SIZE'))}")

    def empty(self) -> None:
        """There is room again; nothing was removed."""
        self._resize(f"{self._mib}m")

    def _resize(self, size: str) -> None:
        told = self._mount("-o", f"remount,size={size}")
        assert not told.returncode, told.stderr

    def _mount(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["mount", *options, str(self._folder)], capture_output=True, text=True, check=False
        )
