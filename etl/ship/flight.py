"""The lines that were read and are not acknowledged, in their order, so that a position never runs ahead."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

from kafka.errors import KafkaError, MessageSizeTooLargeError
from kafka.future import Future

from etl.ship.log_file import Line
from etl.ship.look_back import LookBack, Place
from etl.ship.positions import Positions
from etl.ship.status import Shipped
from etl.ship.topic import BATCH_BYTES, send
from kakou.settings import Settings

log = logging.getLogger(__name__)

MOST_IN_FLIGHT: Final = 20_000
MOST_BYTES: Final = 64 << 20
FLUSH_SECONDS: Final = 20.0
_HOLD_SECONDS: Final = 60.0


class Flight:
    """Hands lines to a producer, one after the other, and moves the positions over those that arrived.

    Order: when a line fails, the library's sender is held until the producer is dropped, so that nothing of
    the same plate goes out behind it.
    """

    def __init__(self, settings: Settings, positions: Positions, counts: Shipped, too_large: Path) -> None:
        self._topic, self._positions, self._counts = settings.topic, positions, counts
        self._too_large_log = too_large
        self.acked_bytes = 0
        self.unsent: deque[Line] = deque()
        self._sent: deque[tuple[Any, Line]] = deque()  # without a future: the topic holds it already
        self._known: set[Place] = set()
        self._known_sent = self._sent_bytes = 0
        self._reached: dict[int, int] = {}
        self._suspect: Place | None = None
        self._failure: BaseException | None = None
        self._go_on = threading.Event()
        self._answered = time.monotonic()
        self._own_thread = threading.get_ident()

    @property
    def lines(self) -> int:
        """Lines that are not acknowledged."""
        return len(self._sent) + len(self.unsent)

    @property
    def full(self) -> bool:
        """Whether so many lines are on their way that no more should be read."""
        return len(self._sent) >= MOST_IN_FLIGHT or self._sent_bytes >= MOST_BYTES

    def lines_of(self, name: str) -> list[Line]:
        """The lines that lie in one file, in order."""
        return [line for _, line in self._sent if line.file == name] + [
            line for line in self.unsent if line.file == name
        ]

    def silent_seconds(self, now: float) -> float:
        """How long the broker has owed an answer."""
        return now - self._answered if self._sent else 0.0

    def expect(self, found: LookBack) -> None:
        """Begins with a new producer: these lines need no sending."""
        self._known, self._reached = found.known, found.ends
        self._failure = None
        self._go_on.clear()

    def send_all(self, producer: Any) -> None:
        """Hands over what is unsent.

        Raises:
            KafkaError: a line failed; what is not acknowledged is then to be taken back.
        """
        while self.unsent:
            line = self.unsent[0]
            future = self._future(producer, line)
            self.unsent.popleft()
            if not self._sent:
                self._answered = time.monotonic()
            self._sent.append((future, line))
            self._sent_bytes += len(line.data)

    def take_acknowledged(self) -> None:
        """Moves the positions over the lines whose sending has succeeded, in their order.

        Raises:
            KafkaError: a line failed; it and all after it must be looked at again.
        """
        if self._failure is not None:
            self._suspect_refused()
            raise _as_kafka_error(self._failure)
        while self._sent:
            future, line = self._sent[0]
            if future is None:
                self._known_sent -= 1
                self._counts.known += 1
            elif not future.is_done:
                return
            elif isinstance(future.exception, MessageSizeTooLargeError):
                self._demand_sent_alone(line)
                self._set_aside(line)
            elif future.exception is not None:
                raise _as_kafka_error(future.exception)
            else:
                self._counts.lines += 1
                if future.value.offset >= 0:  # below: it was there already, and the broker forgot where
                    self._reached[future.value.partition] = future.value.offset + 1
            self._sent.popleft()
            self._sent_bytes -= len(line.data)
            self._positions.offsets[line.file] = line.end
            self.acked_bytes += line.end - line.start
            self._answered = time.monotonic()

    def let_sender_go(self) -> None:
        """Frees the library's sender, which is held after a failure; the producer must be ended next."""
        self._go_on.set()

    def take_back(self) -> None:
        """All that is not acknowledged is unsent again."""
        self.unsent.extendleft(line for _, line in reversed(self._sent))
        self._sent.clear()
        self._known_sent = self._sent_bytes = 0
        self._reached = {}  # it may lie behind lines that were known and are unsent again

    def note_end(self) -> None:
        """Notes how far the topic goes with what the positions cover; see ``TopicEnd``."""
        if not self._known and not self._known_sent:
            self._positions.end.offsets.update(self._reached)

    def _future(self, producer: Any, line: Line) -> Any:
        place = (line.file, line.start)
        if place in self._known:
            self._known.discard(place)
            self._known_sent += 1
            return None
        if place == self._suspect or len(line.data) >= BATCH_BYTES:
            return self._sent_alone(producer, line)
        future = self._send(producer, line)
        future.add_errback(self._hold)
        return future

    def _send(self, producer: Any, line: Line) -> Any:
        """The future of a line; the producer's own refusal of a line is a failed future like the broker's."""
        try:
            return send(producer, self._topic, line)
        except MessageSizeTooLargeError as error:
            return Future().failure(error)

    def _sent_alone(self, producer: Any, line: Line) -> Any:
        """Sends a line that the broker may refuse with nothing beside it."""
        producer.flush(timeout=FLUSH_SECONDS)
        self.take_acknowledged()
        self._suspect = (line.file, line.start)
        future = self._send(producer, line)
        producer.flush(timeout=FLUSH_SECONDS)
        return future

    def _hold(self, error: BaseException) -> None:
        """Runs in the library's sender: it sends nothing more until the shipper has seen the failure."""
        self._failure = error
        if threading.get_ident() != self._own_thread:
            self._go_on.wait(_HOLD_SECONDS)

    def _suspect_refused(self) -> None:
        for future, line in self._sent:
            if future is not None and isinstance(future.exception, MessageSizeTooLargeError):
                self._suspect = (line.file, line.start)
                return

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
        target = self._too_large_log
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as file:
            file.write(line.data + b"\n")
        self._counts.too_large += 1
        log.error("a line of %d bytes is larger than Kafka takes; it lies in %s", len(line.data), target)


def _as_kafka_error(error: BaseException) -> KafkaError:
    return error if isinstance(error, KafkaError) else KafkaError(str(error))
