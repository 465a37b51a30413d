"""One contestant, seen from outside: when it had handled how many records, and what that cost.

Warm is from when it had handled a quarter of the records until it had handled nearly all. A contestant that
tells once for each batch is measured from the end of one batch to the end of another; the last few records
would be a batch of their own.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from stream_costs import Costs, family_roles
from stream_job import StreamError

WARM_FROM, WARM_TO = 0.25, 0.95
LOOK_S, END_S = 0.1, 15.0
COLD_S, SLOWEST = 240.0, 250.0  # records a second, below which it is given up
LAST_WORDS = 1_200


@dataclass(frozen=True)
class Point:
    """At a moment (monotonic) so many records had been handled."""

    at: float
    records: int


class Curve:
    """How far a contestant is, from the files of all of its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._told: list[tuple[float, dict[str, int]]] = []

    def look(self) -> int:
        """Reads what was told since; returns the records handled."""
        for path in sorted(self._folder.glob("progress-*.jsonl")):
            with path.open("rb") as lines:
                lines.seek(self._read.get(path, 0))
                text = lines.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            self._told += [(one["at"], one["counts"]) for one in map(json.loads, whole.splitlines())]
        points = self.points()
        return points[-1].records if points else 0

    def points(self) -> list[Point]:
        """The sum over all names, in order of time. A name that two processes tell of, as a partition that
        changed hands, counts once."""
        held: dict[str, int] = {}
        points = []
        for at, counts in sorted(self._told, key=lambda one: one[0]):
            for name, count in counts.items():
                held[name] = max(count, held.get(name, 0))
            points.append(Point(at, sum(held.values())))
        return points


def warm_of(points: list[Point], total: int) -> tuple[int, float]:
    """Records and seconds of the warm part.

    Raises:
        StreamError: nearly all was done before it began.

    >>> warm_of([Point(5.0, 0), Point(9.0, 30), Point(10.0, 60), Point(12.0, 98), Point(14.0, 100)], 100)
    (68, 3.0)
    """
    first = next(one for one in points if one.records >= WARM_FROM * total)
    last = next(one for one in points if one.records >= WARM_TO * total)
    if last.records <= first.records:
        raise StreamError("All was done before a quarter was told of; take more records.")
    return last.records - first.records, last.at - first.at


def found_pairs(folder: Path) -> frozenset[tuple[str, str]]:
    """Ids of the two passes of each contradiction that a contestant wrote down."""
    lines = [line for path in folder.glob("found-*.jsonl") for line in path.read_text("utf-8").splitlines()]
    return frozenset((first, second) for _, first, second in map(json.loads, lines))


@dataclass(frozen=True)
class Start:
    """How a contestant is started: its processes, their environment, where they tell, where they log."""

    commands: list[list[str]]
    environment: Mapping[str, str]
    out: Path
    log: Path


def measure(start: Start, total: int, stores: Mapping[str, int]) -> dict[str, Any]:
    """Runs a contestant until it has handled ``total`` records, and ends it.

    Args:
        stores: process ids by name, whose cost is told apart.

    Raises:
        StreamError: it ended by itself or hardly moved.
    """
    began, curve = time.monotonic(), Curve(start.out)
    with _running(start) as family:
        roles = _roles(family, stores)
        costs = Costs(roles)
        costs.start()
        try:
            _wait(curve, WARM_FROM * total, start, family, COLD_S + total / SLOWEST)
            costs.begin()
            _wait(curve, WARM_TO * total, start, family, total / SLOWEST)
            spent = costs.end()
            _wait(curve, total, start, family, total / SLOWEST)
        finally:
            costs.stop()
    points = curve.points()
    records, seconds = warm_of(points, total)
    own = {role: cpu for role, cpu in spent.cpu.items() if role not in stores}
    return {
        "records": total, "warm_records": records, "warm_seconds": seconds, "rate": records / seconds,
        "cold_seconds": next(one.at for one in points if one.records) - began,
        "cpu": own, "cpu_per_million": sum(own.values()) * 1e6 / records,
        "stores_cpu": {role: cpu for role, cpu in spent.cpu.items() if role in stores},
        "others": spent.others,
        "peak_mib": max(sum(mib for role, mib in by.items() if role not in stores) for _, by in costs.memory),
    }  # fmt: skip


Family = Callable[[], list[list[psutil.Process]]]


@contextmanager
def _running(start: Start) -> Iterator[Family]:
    """The processes and all that they start; all have ended afterwards."""
    with start.log.open("ab") as log:
        heads = [
            subprocess.Popen(
                command, env=dict(start.environment), stdout=log, stderr=subprocess.STDOUT, cwd=start.out
            )
            for command in start.commands
        ]

    def family() -> list[list[psutil.Process]]:
        return [_family(head) for head in heads]

    try:
        yield family
    finally:
        everyone = [one for each in family() for one in each]
        for head in heads:
            head.terminate()
        for one in psutil.wait_procs(everyone, timeout=END_S)[1]:
            one.kill()
        for head in heads:
            head.wait()


def _family(head: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        first = psutil.Process(head.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _roles(family: Family, stores: Mapping[str, int]) -> Callable[[], dict[int, str]]:
    def ask() -> dict[int, str]:
        found = {pid: name for name, pid in stores.items()}
        for each in family():
            found |= family_roles(each)
        return found

    return ask


def _wait(curve: Curve, records: float, start: Start, family: Family, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while curve.look() < records:
        ended = any(not each or each[0].status() == psutil.STATUS_ZOMBIE for each in family())
        if ended and curve.look() < records:
            raise StreamError(f"It ended by itself: {_last_words(start.log)}")
        if time.monotonic() > give_up:
            raise StreamError(f"{curve.look():,} records after {seconds:.0f} s: {_last_words(start.log)}")
        time.sleep(LOOK_S)


def _last_words(log: Path) -> str:
    return " / ".join(log.read_text("utf-8", "replace").splitlines())[-LAST_WORDS:]
