"""A producer for fault tests: it logs every attempt, so that a ledger can say what became of each record.

As a program, in a process of its own that may be killed at any moment:

    python tests/logged_producer.py --log attempts.jsonl --count 50000 --rate 2000 --seed 7

It reaches the broker and the topic of the settings (``KAKOU_VAR``, ``KAKOU_PORT_OFFSET``, ``KAKOU_TOPIC``)
and sends the passes that ``passes`` makes of the seed, or with ``--lines FILE`` the lines of a file;
``--skip N`` leaves the first N out. In a test, ``LoggedProducer`` sends whatever bytes the test has.

The log has one JSON line an attempt, as ``spark_jobs.producer_log`` defines it: ``ok`` with the place that
the broker named, ``failed`` where the library or the broker refused, ``unknown`` where no answer came. Beside
it ``<log>.begun`` names each attempt before it is made. What a killed producer had begun and not noted is
written down as unknown by the next one with this log, or by ``settle(log)``: call it before the ledger reads.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer
from kafka.errors import (
    InvalidTopicError,
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RequestTimedOutError,
)

from etl.ship.topic import abandon
from kakou.connections import kafka_options
from kakou.fields import TIME_FORMAT
from kakou.settings import Settings, load_settings
from kakou.whole_files import write_text
from spark_jobs.producer_log import Attempt, format_attempt, parse_attempts

PLATES = 400
GATES = [f"G3_Gate_K{n}" for n in range(40)]
# The broker or the library said no before anything was written.
REFUSED = (MessageSizeTooLargeError, InvalidTopicError)
NO_ANSWER = (KafkaTimeoutError, KafkaConnectionError, RequestTimedOutError)


class LoggedProducer:
    """Sends records to ``settings.topic``; ``close`` waits for the answers.

    Args:
        give_up_seconds: without an answer for so long an attempt stays unknown. settings: as every client's.
    """

    def __init__(self, settings: Settings, log: Path, *, give_up_seconds: float = 30.0) -> None:
        settle(log)
        self._topic, self._give_up_seconds = settings.topic, give_up_seconds
        # Written a whole line at a time, so that a kill takes at most the last one.
        self._log = log.open("a", encoding="utf-8", buffering=1)
        self._begun = _begun(log).open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._producer = KafkaProducer(
            **kafka_options(settings),
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=int(min(give_up_seconds, 10.0) * 1000) - 10,
            delivery_timeout_ms=int(give_up_seconds * 1000),
            max_block_ms=int(give_up_seconds * 1000),
            bootstrap_timeout_ms=10_000,
            allow_auto_create_topics=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, id_: str, key: bytes, value: bytes) -> None:
        """One attempt; does not wait for its answer."""
        self._begun.write(id_ + "\n")
        try:
            future = self._producer.send(self._topic, value=value, key=key)
        except REFUSED:
            self._note(Attempt(id_, "failed"))
            return
        except NO_ANSWER:
            self._note(Attempt(id_, "unknown"))
            return
        future.add_callback(self._arrived, id_)
        future.add_errback(self._lost, id_)

    def close(self) -> None:
        """Waits until each attempt has an answer or was given up."""
        try:
            self._producer.flush(self._give_up_seconds + 10)
        except KafkaTimeoutError:
            abandon(self._producer)  # after a frozen broker the library keeps some that it never gives up
        self._producer.close()
        with self._lock:
            self._log.close()
            self._begun.close()

    def _arrived(self, id_: str, place: Any) -> None:
        self._note(Attempt(id_, "ok", place.partition, place.offset))

    def _lost(self, id_: str, error: BaseException) -> None:
        self._note(Attempt(id_, "failed" if isinstance(error, REFUSED) else "unknown"))

    def _note(self, attempt: Attempt) -> None:
        with self._lock:
            self._log.write(format_attempt(attempt))


def settle(log: Path) -> int:
    """Notes as unknown what a killed producer had begun and not noted; returns how many that were."""
    begun = _begun(log)
    if not begun.exists():
        return 0
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    noted = Counter(attempt.id for attempt in parse_attempts(whole.splitlines()))
    open_ones = Counter(begun.read_text(encoding="utf-8").splitlines()) - noted
    lines = [format_attempt(Attempt(id_, "unknown")) for id_ in open_ones.elements()]
    write_text(log, whole + "".join(lines))
    return len(lines)


def _begun(log: Path) -> Path:
    return log.with_name(f"{log.name}.begun")


def passes(seed: int, count: int, start: datetime) -> Iterator[tuple[str, bytes, bytes]]:
    """``(id, key, value)`` of passes that any stream understands, one each second from ``start`` on; the same
    for the same seed."""
    draw = random.Random(seed)
    for n in range(count):
        id_, plate = f"L{seed}-{n:09d}", f"苏C{draw.randrange(PLATES):05d}"
        at = (start + timedelta(seconds=n)).strftime(TIME_FORMAT)
        fields = (
            id_, "320300", draw.choice(GATES), str(draw.randint(1, 2)), at, "02", plate, "大众牌", "江苏",
            "0", "0", "小型汽车",
        )  # fmt: skip
        yield id_, plate.encode(), "\t".join(fields).encode()


def lines_of(path: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """``(id, key, value)`` of the lines of a file: first column, plate if there is one, the line as it is."""
    with path.open("rb") as file:
        for line in file:
            value = line.rstrip(b"\n")
            columns = value.split(b"\t")
            key = columns[6] if len(columns) > 6 else b""
            yield columns[0].decode("utf-8", "replace"), key, value


def send_all(producer: LoggedProducer, records: Iterable[tuple[str, bytes, bytes]], rate: float) -> None:
    """Sends at a steady ``rate`` a second; 0 is as fast as it goes."""
    began = time.monotonic()
    for n, (id_, key, value) in enumerate(records):
        if rate:
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
        producer.send(id_, key, value)


def main() -> None:
    """Runs as a program."""
    parser = argparse.ArgumentParser(description="Send passes and log every attempt.")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.0, help="records a second; 0: as fast as it goes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--lines", type=Path)
    parser.add_argument("--start", default="2024-01-15 08:00:00")
    parser.add_argument("--give-up-seconds", type=float, default=30.0)
    given = parser.parse_args()
    start = datetime.strptime(given.start, TIME_FORMAT)
    records = lines_of(given.lines) if given.lines else passes(given.seed, given.count, start)
    with LoggedProducer(load_settings(), given.log, give_up_seconds=given.give_up_seconds) as producer:
        wanted = (one for n, one in enumerate(records) if n >= given.skip)
        send_all(producer, wanted, given.rate)


if __name__ == "__main__":
    main()
