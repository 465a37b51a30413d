"""Edge: runs other programs for the installer and turns their failures into one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kakou.disk_room import says_disk_full
from kakou.errors import DiskFullError, InstallError

_LAST_LINES = 3


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
        if any(says_disk_full(line) for line in said):
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
