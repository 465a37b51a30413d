"""What else the machine is doing: a benchmark beside other work measures the other work."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass

import psutil

WATCHED_SECONDS = 2.0
BUSY_CORES = 0.3


@dataclass(frozen=True)
class Machine:
    """One look at the machine. ``busy`` names each other process that takes more than ``BUSY_CORES``."""

    load1: float
    cores: int
    memory_gib: float
    busy: tuple[str, ...]

    def __str__(self) -> str:
        others = ", ".join(self.busy) or f"no other process above {BUSY_CORES} core"
        return f"load {self.load1:.2f} on {self.cores} cores, {self.memory_gib:.0f} GiB; {others}"


def look() -> Machine:
    """Watches all processes for two seconds."""
    own = os.getpid()
    before = _cpu_seconds()
    time.sleep(WATCHED_SECONDS)
    busy = []
    for (pid, name), seconds in sorted(_cpu_seconds().items()):
        cores = (seconds - before.get((pid, name), seconds)) / WATCHED_SECONDS
        if pid != own and cores > BUSY_CORES:
            busy.append(f"{name} ({pid}) takes {cores:.1f} core")
    memory = psutil.virtual_memory().total / 2**30
    return Machine(os.getloadavg()[0], os.cpu_count() or 1, memory, tuple(busy))


def _cpu_seconds() -> dict[tuple[int, str], float]:
    seconds = {}
    for process in psutil.process_iter(("pid", "name", "cpu_times")):
        times = process.info["cpu_times"]
        if times is not None:
            seconds[process.info["pid"], process.info["name"]] = times.user + times.system
    return seconds


def description() -> str:
    """Processor and system, for the record."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
