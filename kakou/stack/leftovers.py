"""Edge: finds and ends processes of a stack that outlived their supervisor."""

from __future__ import annotations

import os
from collections.abc import Iterable

import psutil

from kakou.settings import Settings
from kakou.stack.environment import MARKER

_POLITE_S = 8
_KILLED_S = 5


def marked(settings: Settings) -> list[psutil.Process]:
    """Every process, other than this one and its parents, that was started for this very stack."""
    ours = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in ours and process.environ().get(MARKER) == str(settings.var):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone, or another user's
    return found


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a dead child that nobody has waited for does not count."""
    left = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(process)
        except psutil.Error:
            continue
    return left


def end(processes: Iterable[psutil.Process]) -> None:
    """Ends processes by pid: first asks, then kills."""
    wanted = alive(processes)
    for process in wanted:
        try:
            process.terminate()
        except psutil.Error:
            continue
    psutil.wait_procs(wanted, timeout=_POLITE_S)
    rest = alive(wanted)
    for process in rest:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(rest, timeout=_KILLED_S)
