"""Runs one command and says what it cost, children included: seconds and memory, step by step."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.05
REFRESH_SECONDS = 0.25
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Step:
    """One step: seconds, and the greatest memory of all processes together while it ran, in MiB."""

    wall: float
    cpu: float
    peak_mib: float


@dataclass(frozen=True)
class Measured:
    """What a command cost.

    Attributes:
        cpu: user and system seconds of the command and all that it started, from the kernel.
        peak_mib: greatest sum of resident memory over the process tree, sampled; shared pages of files count
            once for each process, so it is an upper bound.
        private_mib: the same without shared pages. one_mib: greatest resident memory of any one process,
            from the kernel.
        others: cores that all other processes took meanwhile.
        steps: by the marks that the command wrote.
    """

    wall: float
    cpu: float
    peak_mib: float
    private_mib: float
    one_mib: float
    others: float
    output: str
    steps: dict[str, Step] = field(default_factory=dict)

    def until(self, step: str) -> tuple[float, float]:
        """Wall and processor seconds from the start of the command to the beginning of ``step``."""
        names = list(self.steps)
        before = [self.steps[name] for name in names[: names.index(step)]]
        return sum(one.wall for one in before), sum(one.cpu for one in before)


def measure(command: list[str]) -> Measured:
    """Runs ``command``, which may append marks (JSON lines with ``step`` and ``at``) to $BENCH_MARKS.

    Raises:
        RuntimeError: the command failed; the message ends with its last words.
    """
    os.sync()  # what an earlier run wrote is not written at the expense of this one
    with tempfile.TemporaryDirectory(prefix="kakou-bench-") as folder:
        marks, out, err = (Path(folder) / name for name in ("marks", "out", "err"))
        machine, own = _machine_seconds(), time.process_time()
        begin = time.monotonic()
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdout=stdout, stderr=stderr, start_new_session=True,
                env={**os.environ, "BENCH_MARKS": str(marks)},
            )  # fmt: skip
        samples, usage, status = _watch(process)
        end = time.monotonic()
        if status:
            raise RuntimeError(f"{' '.join(command)} ended with {status}: {err.read_text()[-2000:]}")
        cpu = usage.ru_utime + usage.ru_stime
        others = (_machine_seconds() - machine - cpu - (time.process_time() - own)) / (end - begin)
        return Measured(
            wall=end - begin, cpu=cpu, peak_mib=max(one[2] for one in samples),
            private_mib=max(one[3] for one in samples), one_mib=usage.ru_maxrss / 1024,
            others=max(0.0, others), output=out.read_text(),
            steps=_steps(begin, end, cpu, samples, _marks(marks)),
        )  # fmt: skip


Sample = tuple[float, float, float, float]  # at, processor seconds, resident MiB, private MiB


def _watch(process: subprocess.Popen[bytes]) -> tuple[list[Sample], resource.struct_rusage, int]:
    samples: list[Sample] = []
    tree, refreshed = [process.pid], 0.0
    while True:
        now = time.monotonic()
        if now - refreshed > REFRESH_SECONDS:
            tree, refreshed = _session(process.pid), now
        samples.append((now, *_sum(tree)))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return samples, usage, process.returncode
        time.sleep(SAMPLE_SECONDS)


def _session(leader: int) -> list[int]:
    """The processes that ``leader`` and its children started: all of its session."""
    found = [leader]
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != leader:
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/pid/stat behind the name, so state is the first; empty once the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _sum(tree: list[int]) -> tuple[float, float, float]:
    cpu = resident = private = 0.0
    for pid in tree:
        fields = _stat(pid)
        if not fields:
            continue
        # User, system, and both of the children that it has waited for.
        cpu += sum(int(ticks) for ticks in fields[11:15]) / _TICK
        try:
            pages = Path(f"/proc/{pid}/statm").read_text().split()
        except OSError:
            continue
        resident += int(pages[1]) * _PAGE / 2**20
        private += (int(pages[1]) - int(pages[2])) * _PAGE / 2**20
    return cpu, resident, private


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _marks(file: Path) -> list[tuple[str, float]]:
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [(line["step"], line["at"]) for line in lines]


def _steps(
    begin: float, end: float, cpu: float, samples: list[Sample], marks: list[tuple[str, float]]
) -> dict[str, Step]:
    """What lies between two marks; ``start`` is the time before the first."""
    if not marks:
        return {}
    edges = [("start", begin), *marks, ("", end)]
    steps: dict[str, Step] = {}
    spent = 0.0
    for (name, since), (_, until) in pairwise(edges):
        # A step may be over before the next sample; then the last one before its end speaks for it.
        before = [one for one in samples if one[0] < until] or samples[:1]
        within = [one for one in before if one[0] >= since] or before[-1:]
        now = max(spent, before[-1][1]) if until < end else cpu
        steps[name] = Step(until - since, now - spent, max(one[2] for one in within))
        spent = now
    return steps
