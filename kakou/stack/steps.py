"""Edge: runs other programs for the installer and turns their failures into one sentence."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kakou.errors import DiskFullError, InstallError

_LAST_LINES = 3
# As the C library, MariaDB and InnoDB put it.
_DISK_FULL = ("No space left on device", "Errcode: 28", "error: 28", "disk is full", "Disk is full", "ENOSPC")


def run_step(
    argv: Sequence[str | Path],
    *,
    what: str,
    mend: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
) -> str:
    """Runs ``argv`` to its end and returns its stdout.

    Args:
        what: what failed, as the start of a sentence, for example ``Java could not be installed``.
        mend: what the reader can do, as a sentence of its own.
        stdin: what the program reads; it never waits for a terminal.

    Raises:
        InstallError: the program is missing or ended with an error.
        DiskFullError: the program says that no room is left.
    """
    try:
        done = subprocess.run(
            [str(one) for one in argv],
            cwd=cwd,
            env=None if env is None else dict(env),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise InstallError(f"{what}: program '{argv[0]}' is not there. {mend}") from error
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        if any(sign in line for line in said for sign in _DISK_FULL):
            raise DiskFullError(f"{what}: no room is left on the disk. Free some and run the command again.")
        tail = " / ".join(_telling(said)[-_LAST_LINES:])
        raise InstallError(f"{what} ({tail or f'exit code {done.returncode}'}). {mend}")
    return done.stdout


def _telling(lines: list[str]) -> list[str]:
    """The lines that name an error, or all of them where none does."""
    named = [
        line for line in lines if line.startswith(("E:", "error", "ERROR", "npm error")) or "fatal" in line
    ]
    return named or lines


def as_root() -> list[str] | None:
    """What to put before a command that needs root: nothing, ``sudo``, or None where neither is possible."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    if sys.stdin.isatty():
        return ["sudo"]
    known = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo", "-n"] if known else None


def demand_room(place: Path, gib: float) -> None:
    """Checks that ``gib`` GiB are free where ``place`` lies or will lie.

    Raises:
        DiskFullError: they are not.
    """
    there = next(one for one in (place, *place.parents) if one.exists())
    free = shutil.disk_usage(there).free / 2**30
    if free < gib:
        raise DiskFullError(
            f"Only {free:.1f} GiB are free on the disk of {place}, and at least {gib:g} are needed. "
            "Free some and run the command again."
        )


@contextmanager
def told_when_disk_is_full(place: Path) -> Iterator[None]:
    """Turns the operating system's ENOSPC and EDQUOT into a ``DiskFullError`` that names ``place``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"No room is left on the disk that holds {place}. Free some and run the command again."
            ) from error
        raise


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Lets one process at a time through; the next one waits. The lock ends with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
