"""Ships the pass log into Kafka: no line lost, none doubled, each within a tenth of a second."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError
from kafka.future import Future

from etl.ship.follow import Line, LogFollower
from etl.ship.positions import Positions
from etl.ship.topic import open_producer, send, shipped_beyond
from kakou.process_lock import only_one
from kakou.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.02
SAVE_EVERY_SECONDS: Final = 0.5
TELL_EVERY_SECONDS: Final = 60.0
LARGEST_BACKOFF_SECONDS: Final = 5.0
MOST_IN_FLIGHT: Final = 20_000
CLOSE_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 60.0


@dataclass(slots=True)
class Shipped:
    """What a run did: lines acknowledged, lines that the topic held already, lines that no broker takes."""

    lines: int = 0
    known: int = 0
    too_large: int = 0


class Shipper:
    """Follows the log and keeps what is not yet acknowledged in order, so that a position never runs
    ahead."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._positions = Positions(settings.ship_dir / "positions.json")
        self._follower = LogFollower(settings.sim_dir / "passes.log", self._positions.offsets)
        self._flight: deque[tuple[Any, Line]] = deque()
        self._skip: set[tuple[str, int]] = set()
        self._suspect: tuple[str, int] | None = None
        self._producer: KafkaProducer | None = None
        self.counts = Shipped()

    def run(self, stop: Callable[[], bool], *, once: bool = False) -> Shipped:
        """Ships until ``stop()`` is true, or with ``once`` until everything that is there is acknowledged."""
        saved = told = time.monotonic()
        backoff = 0.2
        try:
            while not stop():
                try:
                    moved = self._turn()
                    backoff = 0.2
                except KafkaError as error:
                    log.warning("Kafka at %s: %s; waiting for it", self._settings.kafka_bootstrap, error)
                    self._start_over()
                    _wait(backoff, stop)
                    backoff = min(backoff * 2, LARGEST_BACKOFF_SECONDS)
                    continue
                now = time.monotonic()
                if now - saved >= SAVE_EVERY_SECONDS:
                    saved = now
                    self._save()
                if now - told >= TELL_EVERY_SECONDS:
                    told = now
                    log.info("shipped %d lines, %d in flight", self.counts.lines, len(self._flight))
                if not moved:
                    if once and not self._flight:
                        break
                    time.sleep(IDLE_SECONDS)
        finally:
            self._finish()
        return self.counts

    def _turn(self) -> bool:
        """Sends what is new and notes what was acknowledged; True if there was anything to send."""
        producer = self._producer or self._connect()
        self._take_acknowledged()
        if len(self._flight) >= MOST_IN_FLIGHT:
            return False
        lines = self._follower.poll()
        for line in lines:
            if (line.file, line.start) in self._skip:
                self._skip.discard((line.file, line.start))
                self.counts.known += 1
                self._flight.append((None, line))
                continue
            if (line.file, line.start) == self._suspect:
                self._send_alone(producer, line)
            else:
                self._flight.append((self._send(producer, line), line))
        return bool(lines)

    def _send(self, producer: KafkaProducer, line: Line) -> Any:
        """The future of a line; the producer's own refusal of a line is a failed future like the broker's."""
        try:
            return send(producer, self._settings.topic, line)
        except MessageSizeTooLargeError as error:
            return Future().failure(error)

    def _send_alone(self, producer: KafkaProducer, line: Line) -> None:
        producer.flush(timeout=FLUSH_SECONDS)
        self._take_acknowledged()
        self._flight.append((self._send(producer, line), line))
        producer.flush(timeout=FLUSH_SECONDS)
        self._take_acknowledged()

    def _connect(self) -> KafkaProducer:
        present = self._follower.present()
        if not self._positions.fresh or present:
            self._skip = shipped_beyond(self._settings, self._positions.offsets, present)
        self._producer = open_producer(self._settings)
        return self._producer

    def _take_acknowledged(self) -> None:
        """Moves the positions over the lines whose sending has succeeded, in their order.

        Raises:
            KafkaError: a line failed; it and all after it must be looked at again.
        """
        while self._flight:
            future, line = self._flight[0]
            if future is not None:
                if not future.is_done:
                    return
                if isinstance(future.exception, MessageSizeTooLargeError):
                    self._demand_sent_alone(line)
                    self._set_aside(line)
                elif future.exception is not None:
                    raise _as_kafka_error(future.exception)
                else:
                    self.counts.lines += 1
            self._flight.popleft()
            self._positions.offsets[line.file] = line.end

    def _demand_sent_alone(self, line: Line) -> None:
        """Where one line is refused, the library may fail its neighbours in flight with the same error, so a
        refusal counts only for a line that was sent with nothing beside it.

        Raises:
            KafkaError: it was not; what is in flight is looked at again, and this line is then sent alone.
        """
        if self._suspect != (line.file, line.start):
            self._suspect = (line.file, line.start)
            raise KafkaError(f"a line of {len(line.data)} bytes was refused; it is sent alone to be sure")

    def _set_aside(self, line: Line) -> None:
        """Keeps a line that is larger than any broker takes, and goes on: one such line must not stop all
        others."""
        target = self._settings.ship_dir / "too_large.log"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as file:
            file.write(line.data + b"\n")
        self.counts.too_large += 1
        log.error("a line of %d bytes is larger than Kafka takes; it lies in %s", len(line.data), target)

    def _start_over(self) -> None:
        """Drops the producer and what it had not delivered; the topic's tail tells later what did arrive."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None
        self._flight.clear()
        present = self._follower.present()
        self._follower.rewind({name: self._positions.offsets.get(name, 0) for name in present})

    def _save(self) -> None:
        self._positions.save(self._follower.present())

    def _finish(self) -> None:
        if self._producer is not None:
            try:
                self._producer.flush(timeout=CLOSE_SECONDS)
                self._take_acknowledged()
            except KafkaError as error:
                log.warning(
                    "%d lines were not acknowledged (%s); they are sent next time", len(self._flight), error
                )
            self._producer.close(timeout=1)
            self._producer = None
        self._save()
        self._follower.close()


def _as_kafka_error(error: BaseException) -> KafkaError:
    return error if isinstance(error, KafkaError) else KafkaError(str(error))


def _wait(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(min(0.1, seconds))


def ship(settings: Settings, stop: Callable[[], bool], *, once: bool = False) -> Shipped:
    """Ships ``settings.sim_dir/passes.log`` into ``settings.topic``; only one shipper at a time may."""
    with only_one(settings.ship_dir / "ship.lock", "kakou ship"):
        return Shipper(settings).run(stop, once=once)
