"""Ships the pass log into Kafka: no line lost, none doubled, each within a tenth of a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

from kafka import KafkaProducer
from kafka.errors import KafkaError

from etl.ship.flight import Flight
from etl.ship.follow import LogFollower
from etl.ship.look_back import shipped_beyond
from etl.ship.positions import Positions
from etl.ship.spool import Spool
from etl.ship.spool_caps import SpoolCaps
from etl.ship.status import Lag, Shipped, write_status
from etl.ship.topic import abandon, open_producer
from kakou.errors import DiskFullError
from kakou.process_lock import only_one
from kakou.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.02
SAVE_EVERY_SECONDS: Final = 0.5
STATUS_EVERY_SECONDS: Final = 2.0
TELL_EVERY_SECONDS: Final = 60.0
SILENT_SECONDS: Final = 5.0
LARGEST_BACKOFF_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 10.0


class Shipper:
    """Follows the log through the spool, and connects as often as it must."""

    def __init__(self, settings: Settings) -> None:
        self._settings, folder = settings, settings.ship_dir
        self._positions = Positions(folder / "positions.json")
        self._spool = Spool(
            settings.sim_dir / "passes.log", folder / "spool", self._positions, SpoolCaps.of(settings)
        )
        self._follower = LogFollower(self._spool)
        self.counts = Shipped()
        self._flight = Flight(settings, self._positions, self.counts, folder / "too_large.log")
        self._producer: KafkaProducer | None = None
        self._lag = Lag()
        self._due = dict.fromkeys(("save", "status", "tell"), time.monotonic())

    def run(self, stop: Callable[[], bool], *, once: bool = False) -> Shipped:
        """Ships until ``stop()`` is true, or with ``once`` until everything that is there is acknowledged."""
        backoff = 0.2
        self._spool.watch()
        self._tell_status()
        try:
            while not stop():
                try:
                    moved = self._turn()
                    backoff = 0.2
                except KafkaError as error:
                    self._start_over(error)
                    self._wait(backoff, stop)
                    backoff = min(backoff * 2, LARGEST_BACKOFF_SECONDS)
                    continue
                self._care()
                if not moved:
                    if once and not self._flight.lines and self._follower.at_end:
                        break
                    time.sleep(IDLE_SECONDS)
        finally:
            self._finish()
        return self.counts

    def _turn(self) -> bool:
        """Sends what is new and notes what was acknowledged; true if there was anything to send."""
        producer = self._producer or self._connect()
        self._flight.take_acknowledged()
        if self._flight.full:
            return False
        if not self._flight.unsent:
            self._flight.unsent.extend(self._follower.poll())
        moved = bool(self._flight.unsent)
        self._flight.send_all(producer)
        return moved

    def _connect(self) -> KafkaProducer:
        self._flight.expect(shipped_beyond(self._settings, self._positions, self._spool.present()))
        self._producer = open_producer(self._settings)
        return self._producer

    def _care(self) -> None:
        """What is to be done now and then."""
        for file in self._spool.take_cut():
            self._spool.rescue(file, self._flight.lines_of(file.name))
        now = time.monotonic()
        if self._is_due("save", now, SAVE_EVERY_SECONDS):
            self._save()
        if self._is_due("status", now, STATUS_EVERY_SECONDS):
            self._tell_status()
        if self._is_due("tell", now, TELL_EVERY_SECONDS):
            silent = self._flight.silent_seconds(now)
            if silent > SILENT_SECONDS or self._producer is None:
                log.warning("Kafka at %s does not answer", self._settings.kafka_bootstrap)
            log.info("shipped %d lines; %s", self.counts.lines, self._lag.in_words(now))

    def _is_due(self, what: str, now: float, every: float) -> bool:
        due = now - self._due[what] >= every
        if due:
            self._due[what] = now
        return due

    def _start_over(self, error: KafkaError) -> None:
        """Drops the producer and what it had not delivered; the topic tells later what did arrive."""
        log.warning(
            "Kafka at %s: %s; waiting for it with %d lines",
            self._settings.kafka_bootstrap, error, self._flight.lines,
        )  # fmt: skip
        if self._producer is not None:
            self.counts.restarts += 1
            self._flight.let_sender_go()
            abandon(self._producer)
            self._producer = None
        self._flight.take_back()

    def _wait(self, seconds: float, stop: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not stop():
            self._care()
            time.sleep(min(0.1, seconds))

    def _save(self) -> None:
        self._flight.note_end()
        self._positions.save(self._spool.present())

    def _tell_status(self) -> None:
        now, losses = time.monotonic(), self._spool.losses
        self.counts.dropped_files, self.counts.dropped_bytes = losses.dropped_files, losses.dropped_bytes
        self.counts.cut_bytes, self.counts.unshipped_bytes = losses.cut_bytes, self._spool.unshipped_bytes()
        self._lag.note(now, self.counts.unshipped_bytes, self._flight.acked_bytes)
        self._lag.in_flight = self._flight.lines
        self._lag.spool_files, self._lag.spool_bytes = self._spool.held()
        answers = self._producer is not None and self._flight.silent_seconds(now) < SILENT_SECONDS
        zone = ZoneInfo(self._settings.timezone)
        path = self._settings.ship_dir / "status.json"
        try:
            write_status(path, self.counts, self._lag, zone, connected=answers)
        except (DiskFullError, OSError) as error:
            log.warning("%s cannot be written: %s", path, error)  # no reason to stop shipping

    def _finish(self) -> None:
        if self._producer is not None:
            try:
                self._producer.flush(timeout=CLOSE_SECONDS)
                self._flight.take_acknowledged()
            except KafkaError as error:
                lines = self._flight.lines
                log.warning("%d lines were not acknowledged (%s); they are sent next time", lines, error)
            self._flight.let_sender_go()
            abandon(self._producer)
            self._producer = None
        self._care()
        self._save()
        self._spool.look()
        self._tell_status()
        self._spool.close()
        self._follower.close()


def ship(settings: Settings, stop: Callable[[], bool], *, once: bool = False) -> Shipped:
    """Ships ``settings.sim_dir/passes.log`` into ``settings.topic``; only one shipper at a time may."""
    with only_one(settings.ship_dir / "ship.lock", "kakou ship"):
        return Shipper(settings).run(stop, once=once)
