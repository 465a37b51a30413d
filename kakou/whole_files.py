"""Edge: files appear whole or not at all, whatever kills their writer and however many write at once.

A draft lies beside its target and is renamed at the end. Its name tells who writes it, so the drafts of a
killed process are known and the next run removes them.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from kakou.disk_room import told_when_disk_is_full

# Linux takes names of 255 bytes; the rest of a draft's name needs fewer than 64.
_LONGEST_NAME: Final = 190
# A draft of another machine on a shared disk: its owner cannot be seen from here, so only age tells.
FOREIGN_SECONDS: Final = 24 * 3600
# Engines write `tmp_NAME` beside a file that is there already, and a writer may keep a second file beside its
# draft by another suffix.
_DRAFT: Final = re.compile(
    r"(?:tmp_)?\..+\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)\.[0-9a-f]{8}\.\w+"
)


@contextmanager
def draft_of(
    path: Path, *, private: bool = False, durable: bool = False, keep_first: bool = False
) -> Iterator[Path]:
    """A name beside ``path`` to write to; renamed to ``path`` at the end, removed if the block fails.

    The name is its own for each caller, so that two runs at once cannot mix their bytes. Survives a kill; a
    loss of power only where ``durable``.

    Args:
        private: the file is its owner's alone (mode 600), from its first byte on.
        durable: file and folder are synced to the disk before and after the rename.
        keep_first: a file that is there already, or that another process made meanwhile, stays.

    Raises:
        DiskFullError: no room is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    _remove_abandoned_once(os.getpid(), path.parent)
    draft = own_name(path)
    try:
        with told_when_disk_is_full(path.parent):
            if private:
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            yield draft
            if durable:
                _sync(draft)
            _place(draft, path, keep_first=keep_first)
            if durable:
                _sync(path.parent)
    except BaseException:
        for second in draft.parent.glob(f"{glob.escape(draft.stem)}.*"):
            second.unlink(missing_ok=True)
        raise
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder below ``parent`` for this block alone; that of a killed process goes as its drafts do.

    Raises:
        DiskFullError: no room is left.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_once(os.getpid(), parent)
    folder = own_name(parent / name)
    try:
        with told_when_disk_is_full(parent):
            folder.mkdir(mode=0o700)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8, whole or not at all."""
    with draft_of(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_private(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8, whole or not at all, synced, and readable by its owner alone."""
    with draft_of(path, private=True, durable=True) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def own_name(path: Path) -> Path:
    """A hidden name beside ``path`` that no other caller has and that tells who made it."""
    name = os.fsencode(path.name)[:_LONGEST_NAME].decode("utf-8", "ignore")
    pid = os.getpid()
    return path.with_name(f".{name}.{_host()}-{pid}-{_started(pid) or 0}.{secrets.token_hex(4)}.tmp")


def remove_abandoned(folder: Path) -> list[str]:
    """Removes the drafts and scratch folders in ``folder`` whose writer is gone; returns their names.

    Those of a running process stay, whoever it is. Those of another machine stay for a day after their last
    change, as nobody can see from here whether it still runs.
    """
    removed = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            match = _DRAFT.fullmatch(entry.name)
            if match and _abandoned(match, entry):
                removed.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink(missing_ok=True)
    return sorted(removed)


@lru_cache(maxsize=1024)
def _remove_abandoned_once(pid: int, folder: Path) -> None:
    # Once per process: a folder of ten thousand parts is not listed for each of them.
    del pid
    remove_abandoned(folder)


def _abandoned(match: re.Match[str], entry: os.DirEntry[str]) -> bool:
    # Start 0: a system that does not show its processes.
    if match["host"] == _host() and match["start"] != "0":
        return _started(int(match["pid"])) != int(match["start"])
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


@lru_cache(maxsize=1)
def _host() -> str:
    """Where process numbers mean the same: a machine, or a container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the link names no file
    except OSError:
        space = ""
    return hashlib.sha256(f"{os.uname().nodename} {space}".encode()).hexdigest()[:8]


def _started(pid: int) -> int | None:
    """When the process began, in ticks since the machine did; None if it is gone.

    A number alone is not enough: it is given out again.
    """
    try:
        # Fields after the name, which may hold blanks and brackets itself; see proc(5).
        state, *fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state == "Z" else int(fields[18])


def _place(draft: Path, path: Path, *, keep_first: bool) -> None:
    if not keep_first:
        draft.replace(path)
        return
    with suppress(FileExistsError):
        os.link(draft, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
