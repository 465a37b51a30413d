"""Puts records into the topic: all at once beforehand, or at a rate with a log of what the broker took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stream_traffic import Traffic

from etl.ship.topic import open_producer
from kakou.settings import Settings
from spark_jobs.producer_log import Attempt, format_attempt

TICK_S = 0.01
FLUSH_S = 120.0


def preload(settings: Settings, traffic: Traffic) -> float:
    """Sends everything and waits until the broker has it; returns the seconds.

    Raises:
        kafka.errors.KafkaError: the broker did not take a record.
    """
    began = time.monotonic()
    refused: list[BaseException] = []
    producer = open_producer(settings)
    for key, value in zip(traffic.keys, traffic.values, strict=True):
        producer.send(settings.topic, key=key, value=value).add_errback(refused.append)
    producer.flush(FLUSH_S)
    producer.close()
    if refused:
        raise refused[0]
    return time.monotonic() - began


class Feed(threading.Thread):
    """A producer at a rate; what it did is its log.

    Attributes:
        sent: how many records were handed to the producer; those are the first ones.
        at: when each was, on the monotonic clock; 0 for one that was not yet.
        acked: (partition, offset) of each that the broker has acknowledged, None for the others.
        failed: numbers of those that the producer gave up.
    """

    def __init__(self, settings: Settings, traffic: Traffic, rate: float | Callable[[int], float]) -> None:
        """``rate`` is records a second, or a function of how many are left that says so from time to time."""
        super().__init__(name="feed", daemon=True)
        self._settings, self.traffic = settings, traffic
        self._rate = rate if callable(rate) else lambda _left: rate
        self._halt = threading.Event()
        count = len(traffic.values)
        self.sent = 0
        self.at = [0.0] * count
        self.acked: list[tuple[int, int] | None] = [None] * count
        self.failed: list[int] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        """Sends until all are sent or ``stop`` is called."""
        try:
            self._send_all()
        except BaseException as error:  # told by whoever joins
            self.error = error

    def stop(self) -> None:
        """Ends early; what was sent is flushed."""
        self._halt.set()

    def finished(self, timeout: float) -> None:
        """Waits for the end.

        Raises:
            RuntimeError: it did not end in time, or the producer failed.
        """
        self.join(timeout)
        if self.is_alive() or self.error:
            raise RuntimeError(f"The producer did not finish: {self.error or f'not in {timeout:.0f} s'}")

    def _send_all(self) -> None:
        producer, topic = open_producer(self._settings), self._settings.topic
        keys, values, count = self.traffic.keys, self.traffic.values, len(self.traffic.values)
        last, due = time.monotonic(), 0.0
        while self.sent < count and not self._halt.wait(TICK_S):
            now = time.monotonic()
            due = min(count - self.sent, due + (now - last) * self._rate(count - self.sent))
            last = now
            for _ in range(int(due)):
                number = self.sent
                self.at[number] = time.monotonic()
                future = producer.send(topic, key=keys[number], value=values[number])
                future.add_callback(self._note, number).add_errback(self._give_up, number)
                self.sent += 1
            due -= int(due)
        producer.flush(FLUSH_S)
        producer.close()

    def _note(self, number: int, told: Any) -> None:
        self.acked[number] = (told.partition, told.offset)

    def _give_up(self, number: int, _error: BaseException) -> None:
        self.failed.append(number)


def write_log(path: Path, feed: Feed, *preloaded: Traffic) -> Path:
    """The producer log for the ledger: every attempt of ``feed``. Where records were preloaded, whose places
    nobody noted, each is written down as one that may have arrived."""
    with path.open("w", encoding="utf-8") as log:
        for traffic in preloaded:
            log.writelines(format_attempt(Attempt(one, "unknown")) for one in traffic.passes["gcxh"])
        failed = set(feed.failed)
        for number, gcxh in enumerate(feed.traffic.passes["gcxh"][: feed.sent]):
            place = feed.acked[number]
            if place is not None:
                log.write(format_attempt(Attempt(gcxh, "ok", *place)))
            else:
                log.write(format_attempt(Attempt(gcxh, "failed" if number in failed else "unknown")))
    return path


def places(acked: Sequence[tuple[int, int] | None]) -> list[tuple[int, int, int]]:
    """(number, partition, offset) of the acknowledged ones."""
    return [(number, *place) for number, place in enumerate(acked) if place is not None]
