"""Runs a simulation: the history as if it happened now, at a steady rate, with clones where they are
wanted."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from etl.io.pass_log import DEFAULT_CAP_BYTES, PassLog
from etl.simulate import memory
from etl.simulate.clones import CloneMaker, Planted, gate_places
from etl.simulate.pacing import WINDOW_SECONDS, Pacer, SourceRow
from etl.simulate.source import History
from kakou.errors import BadInputError
from kakou.fields import PEAK_HOURS
from kakou.passage import Passage, format_passage
from kakou.process_lock import only_one
from kakou.settings import Settings

TICK_SECONDS: Final = 0.02
SAVE_EVERY_SECONDS: Final = 5.0
# An endless run plants its clones this far apart; a run of known length spreads them over it.
CLONE_EVERY_SECONDS: Final = 20.0
FIRST_CLONE_SECONDS: Final = 6.0


@dataclass(frozen=True, slots=True)
class SimulateParams:
    """What a user may choose; ``seconds`` None runs until it is stopped."""

    rate: float = 50.0
    clones: int = 0
    seconds: float | None = None
    seed: int = 1
    cap_bytes: int = DEFAULT_CAP_BYTES

    def __post_init__(self) -> None:
        amounts = (self.rate, self.rate if self.seconds is None else self.seconds)
        if self.clones < 0 or not all(0 < one < math.inf for one in amounts):
            raise BadInputError("rate and seconds must be above zero, and clones not below it.")

    def clone_times(self) -> list[float]:
        """Seconds after the start at which a clone is due."""
        if self.seconds is None:
            return [FIRST_CLONE_SECONDS + n * CLONE_EVERY_SECONDS for n in range(self.clones)]
        first = min(FIRST_CLONE_SECONDS, self.seconds / 3)
        step = (self.seconds * 0.9 - first) / max(1, self.clones)
        return [first + n * step for n in range(self.clones)]


@dataclass(slots=True)
class Simulated:
    """What a run did. ``planted`` may stay below the wish: masked plates cannot be cloned."""

    rows: int = 0
    planted: int = 0
    held: int = 0
    skipped: int = 0


class Simulation:
    """One run. ``step`` emits what is due; ``run`` calls it until the time is over or ``stop`` says so."""

    def __init__(self, settings: Settings, params: SimulateParams) -> None:
        self.params = params
        self.counts = Simulated()
        self._zone = ZoneInfo(settings.timezone)
        self._history = History(settings.clean_dir / "master_data_expanded.parquet")
        self._state, self._planted = settings.sim_dir / "state.json", settings.sim_dir / "planted.jsonl"
        self._pacer = Pacer()
        self._log = PassLog(settings.sim_dir / "passes.log", cap_bytes=params.cap_bytes)
        self._row = memory.load(self._state, self._pacer, self._log.path, time.time(), self._zone)
        self._rows = self._history.endless(self._row)
        self._due_clones = params.clone_times() if self.can_plant else []
        self._clones: CloneMaker | None = None
        if self._due_clones:
            places = gate_places(settings.clean_dir / "kkmc_dimension.csv")
            self._clones = CloneMaker(places, random.Random(params.seed))  # noqa: S311 - no secret
        # Unique over restarts: the time of the start in microseconds, then a running number.
        self._prefix, self._number = f"S{time.time_ns() // 1000}", 0

    @property
    def can_plant(self) -> bool:
        """A clone needs a plate that names one vehicle."""
        return self._history.whole_plates > 0

    def run(self, stop: Callable[[], bool], tell: Callable[[Simulated], None] | None = None) -> Simulated:
        """Emits until the time is over or ``stop()`` is true.

        Raises:
            DiskFullError: the disk is nearly full; the log is whole.
        """
        start = saved = time.monotonic()
        owed = 0.0
        before = start
        try:
            while not stop():
                now = time.monotonic()
                if self.params.seconds is not None and now - start >= self.params.seconds:
                    break
                # After a stall at most one second is made good: a burst would be no traffic.
                owed = min(owed + (now - before) * self.params.rate, max(1.0, self.params.rate))
                before = now
                count = int(owed)
                owed -= count
                self._emit(count, plant=bool(self._due_clones) and now - start >= self._due_clones[0])
                if now - saved >= SAVE_EVERY_SECONDS:
                    saved = now
                    self._save()
                    if tell:
                        tell(self.counts)
                time.sleep(TICK_SECONDS)
        finally:
            self._save()
            self._log.close()
        return self.counts

    def _save(self) -> None:
        self._pacer.forget_before(time.time())
        memory.save(self._state, self._pacer, self._log, self._row)

    def _emit(self, count: int, *, plant: bool) -> None:
        at = time.time()
        moment = datetime.fromtimestamp(at, self._zone).replace(tzinfo=None)
        lines = []
        for _ in range(count):
            row = self._next_row(at)
            gcxh = self._new_id()
            lines.append(_line(row, gcxh, moment))
            self._pacer.emitted(row.hphm, row.kkmc, at, row.t)
            if self._clones:
                self._clones.saw(row, gcxh, at)
        planted = self._clones.make(self._pacer, at) if plant and self._clones else None
        gcxh = self._new_id() if planted else ""
        if planted:
            lines.append(_line(planted.row, gcxh, moment))
        if not lines:
            return
        self._log.append(lines, moment.date())
        self.counts.rows += len(lines)
        if planted:
            self._note_planted(planted, gcxh, at)

    def _next_row(self, now: float) -> SourceRow:
        row = self._pacer.due(now)
        looked_at = 0
        while row is None:
            self._row, candidate = next(self._rows)
            looked_at += 1
            # A whole round without a free row: rather repeat a waiting vehicle where it is than miss the
            # rate.
            decision = self._pacer.decide(candidate, now, patient=looked_at <= self._history.rows)
            if decision == "emit":
                row = candidate
            elif decision == "hold":
                self.counts.held += 1
            else:
                self.counts.skipped += 1
        return row

    def _new_id(self) -> str:
        self._number += 1
        return f"{self._prefix}{self._number:08d}"

    def _note_planted(self, planted: Planted, gcxh: str, at: float) -> None:
        self._due_clones.pop(0)
        self.counts.planted += 1
        self._pacer.burn(planted.row.hphm, at + WINDOW_SECONDS)
        record = {
            "hphm": planted.row.hphm,
            "first_gcxh": planted.first_gcxh,
            "second_gcxh": gcxh,
            "first_kkmc": planted.first_kkmc,
            "second_kkmc": planted.row.kkmc,
            "planted_at": datetime.fromtimestamp(at, self._zone).isoformat(timespec="milliseconds"),
        }
        with self._planted.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _line(row: SourceRow, gcxh: str, moment: datetime) -> bytes:
    return format_passage(
        Passage(
            gcxh, row.xzqhmc, row.kkmc, row.fxlx, moment, row.hpzl, row.hphm, row.clppxh, row.province,
            int(moment.isoweekday() >= 6), int(moment.hour in PEAK_HOURS), row.vehicle_type_name,
        )
    )  # fmt: skip


def simulate(
    settings: Settings, params: SimulateParams, stop: Callable[[], bool],
    tell: Callable[[Simulated], None] | None = None, say: Callable[[str], None] | None = None,
) -> Simulated:  # fmt: skip
    """Runs one simulation in ``settings.sim_dir``; only one at a time may.

    Args:
        stop: asked 50 times a second; true ends the run.
        tell: called every few seconds with the counts so far. say: called with sentences for a person.
    """
    lock: Path = settings.sim_dir / "simulate.lock"
    with only_one(lock, "kakou simulate"):
        simulation = Simulation(settings, params)
        if params.clones and not simulation.can_plant and say:
            say(
                "No plate of the history is whole (all are cut or masked), so no clone can be planted: "
                "planting 0."
            )
        return simulation.run(stop, tell)
