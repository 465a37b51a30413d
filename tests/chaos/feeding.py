"""Sends a wave at a rate, in a thread of its own, with a producer log that the ledger reads."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from kafka.errors import KafkaError
from logged_producer import LoggedProducer
from planted import Wave

from kakou.settings import Settings

TICK_S, END_S = 0.02, 240.0


class Feed(threading.Thread):
    """A producer that goes on while others are killed.

    Args:
        settings: broker and topic.
        wave: what is sent, in its order.
        log: the producer log; grows.
        rate: records a second; None is as fast as it goes.
        give_up_s: what is not acknowledged within this time is unknown. A producer that gave up is of no more
            use, so where that is to happen another one comes every ``turn`` records.
        turn: None is one producer for all.

    Attributes:
        rate: may be changed while it runs.
        sent: records handed to the producer so far.
    """

    def __init__(
        self,
        settings: Settings,
        wave: Wave,
        log: Path,
        rate: float | None = None,
        give_up_s: float = 180,
        turn: int | None = None,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self._settings, self._wave, self._log, self._give_up_s = settings, wave, log, give_up_s
        self._turn = turn or len(wave)
        self._error: BaseException | None = None
        self.rate = rate
        self.sent = 0

    def run(self) -> None:
        """Sends until all is sent."""
        try:
            while self.sent < len(self._wave):
                with self._producer() as producer:
                    self._send(producer, self.sent, min(self.sent + self._turn, len(self._wave)))
        except BaseException as error:  # told by whoever waits
            self._error = error

    def finished(self, seconds: float = END_S) -> None:
        """Waits until every record has its line in the log."""
        self.join(seconds)
        assert not self.is_alive() and self._error is None, self._error or f"no end within {seconds} s"

    def _producer(self) -> LoggedProducer:
        """Tries until the broker answers."""
        give_up = time.monotonic() + END_S
        while True:
            try:
                return LoggedProducer(self._settings, self._log, give_up_seconds=self._give_up_s)
            except KafkaError:
                if time.monotonic() > give_up:
                    raise

    def _send(self, producer: LoggedProducer, start: int, end: int) -> None:
        last, due = time.monotonic(), 0.0
        wave = self._wave
        for gcxh, key, value in zip(
            wave.ids[start:end], wave.keys[start:end], wave.values[start:end], strict=True
        ):
            while due < 1 and (rate := self.rate):
                time.sleep(TICK_S)
                now = time.monotonic()
                due, last = due + (now - last) * rate, now
            due -= 1
            producer.send(gcxh, key, value)
            self.sent += 1
