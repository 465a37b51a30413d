"""What each part of the stream costs while it runs: processor seconds and memory, sampled by process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
from stream_job import Job

SAMPLE_S = 1.0
MIB = 2**20
DRIVER, JVM, WORKERS, OTHER = "driver Python", "driver JVM", "Python workers", "other children"
Roles = Callable[[], Mapping[int, str]]


@dataclass
class _Seen:
    role: str
    first: float
    last: float


@dataclass(frozen=True)
class Spent:
    """Processor seconds by role, of everything else and of the benchmark itself, over ``wall`` seconds."""

    wall: float
    cpu: dict[str, float]
    others: float
    bench: float

    def per_million(self, records: int) -> dict[str, float]:
        """Processor seconds for a million records, by role."""
        return {role: round(seconds * 1e6 / max(1, records), 1) for role, seconds in self.cpu.items()}


class Costs(threading.Thread):
    """Samples every second. Each process counts for itself, so nothing counts twice; what a process takes
    after its last sample is lost, less than a second of it.

    Attributes:
        memory: of each sample the moment (monotonic) and the anonymous resident MiB by role. Files that a
            process has mapped, as Kafka does its logs, are the system's cache: it takes them back at need.
        mapped: the same samples, MiB of mapped files that are resident.
    """

    def __init__(self, roles: Roles) -> None:
        super().__init__(name="costs", daemon=True)
        self._roles = roles
        self.memory: list[tuple[float, dict[str, float]]] = []
        self.mapped: list[tuple[float, dict[str, float]]] = []
        self._lock, self._halt = threading.Lock(), threading.Event()
        self._seen: dict[tuple[int, float], _Seen] = {}
        self.begin()

    def run(self) -> None:
        """Samples until ``stop``."""
        while not self._halt.wait(SAMPLE_S):
            self._sample()

    def stop(self) -> None:
        """Ends the thread."""
        self._halt.set()
        self.join()

    def begin(self) -> None:
        """A window begins now."""
        with self._lock:
            self._seen = {}
        self._sample(new=True)
        self._began = (time.monotonic(), machine_seconds(), time.process_time())

    def end(self) -> Spent:
        """What was spent since ``begin``."""
        self._sample()
        wall, machine, own = (
            now - then
            for now, then in zip(
                (time.monotonic(), machine_seconds(), time.process_time()), self._began, strict=True
            )
        )
        cpu: dict[str, float] = {}
        with self._lock:
            for one in self._seen.values():
                cpu[one.role] = cpu.get(one.role, 0.0) + one.last - one.first
        others = max(0.0, machine - own - sum(cpu.values())) / wall
        return Spent(wall, {role: round(seconds, 2) for role, seconds in cpu.items()}, round(others, 2), own)

    def _sample(self, new: bool = False) -> None:
        own: dict[str, float] = {}
        files: dict[str, float] = {}
        roles = self._roles()
        with self._lock:
            for pid, role in roles.items():
                try:
                    process = psutil.Process(pid)
                    times, memory, born = process.cpu_times(), process.memory_info(), process.create_time()
                except psutil.Error:
                    continue
                cpu = times.user + times.system
                # A process that is first seen in the middle was started in this window.
                seen = self._seen.setdefault((pid, born), _Seen(role, cpu if new else 0.0, cpu))
                seen.last, seen.role = cpu, role
                own[role] = own.get(role, 0.0) + (memory.rss - memory.shared) / MIB
                files[role] = files.get(role, 0.0) + memory.shared / MIB
        self.memory.append((time.monotonic(), own))
        self.mapped.append((time.monotonic(), files))


def machine_seconds() -> float:
    """Processor seconds that the machine has spent on anything."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def roles_of(stores: Mapping[str, int], job: Callable[[], Job | None]) -> Roles:
    """Roles by process id: the stores, and whatever the present job has started."""

    def ask() -> dict[int, str]:
        found = {pid: name for name, pid in stores.items()}
        running = job()
        return found | (family_roles(running.family()) if running else {})

    return ask


def family_roles(family: list[psutil.Process]) -> dict[int, str]:
    """The driver's Python, its JVM, the Python workers below that, and what else there is."""
    roles: dict[int, str] = {}
    for number, one in enumerate(family):
        try:
            parent = roles.get(one.ppid(), OTHER)
            if number == 0:
                roles[one.pid] = DRIVER
            elif one.name() == "java":
                roles[one.pid] = JVM
            else:
                roles[one.pid] = WORKERS if parent in (JVM, WORKERS) else OTHER
        except psutil.Error:
            continue
    return roles
