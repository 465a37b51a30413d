"""The stream as a process of its own, seen from outside: what the stores and its checkpoints say of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from kafka import KafkaConsumer, TopicPartition

from kakou import redis_keys
from kakou.connections import connect, kafka_options, node_names, redis_client
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from spark_jobs.offset_log import OffsetLog

WAIT_S, STOP_S, DEATH_S = 240, 90, 30
LOOK_S = 0.3
QUERIES = ("ingest", "detection")
STREAM = ("-m", "spark_jobs.stream_passages")


class Job:
    """The stream as a child of this process; each start appends to the same log.

    Args:
        settings: those of the stack.
        log: what it says.
        command: what Python runs in its place, for tests that break it on purpose.
    """

    def __init__(self, settings: Settings, log: Path, command: tuple[str, ...] = STREAM) -> None:
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                env=child_environment(settings),
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._log = log

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float = WAIT_S) -> None:
        give_up = time.monotonic() + seconds
        while not ready():
            assert self.runs, f"the stream ended: {self.tail()}"
            assert time.monotonic() < give_up, f"{what}: not within {seconds} s: {self.tail()}"
            time.sleep(LOOK_S)

    def kill(self) -> None:
        """kill -9 of the driver; returns when all that it had started is gone too."""
        family = self.family()
        self.process.send_signal(signal.SIGKILL)
        self.ended(family)

    def family(self) -> list[psutil.Process]:
        """Its JVM and its workers."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def ended(self, family: list[psutil.Process], seconds: float = DEATH_S) -> int:
        """Waits for its end and that of its family; returns the exit code."""
        code = self.process.wait(seconds)
        # The JVM sees that its Python is gone and ends by itself.
        _, alive = psutil.wait_procs(family, timeout=DEATH_S)
        assert not alive, alive
        return code

    def stop(self) -> None:
        """SIGTERM, as the supervisor does; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(STOP_S) == 0, self.tail()

    def tail(self, characters: int = 3_000) -> str:
        return self._log.read_text("utf-8", "replace")[-characters:]

    def said(self, word: str) -> str:
        """The last line that holds a word, whatever stack trace came after it."""
        lines = self.tail(10**6).splitlines()
        return next((line for line in reversed(lines) if word in line), "")


def handled(settings: Settings) -> int:
    """Records that the ledgers of the nodes know."""
    total = 0
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT COALESCE(SUM(stored + duplicates + rejected), 0) FROM batch_ledger")
            total += int(cursor.fetchone()[0])
    return total


def detected(settings: Settings) -> int:
    """Passes that the detector has taken."""
    return int(redis_client(settings).hget(redis_keys.DETECTION_COUNTS, "passes") or 0)


def last_commit(checkpoint: Path) -> int | None:
    """Number of the last batch of a query that Spark wrote down as done."""
    folder = checkpoint / "commits"
    numbers = [int(file.name) for file in folder.glob("*") if file.name.isdigit()]
    return max(numbers, default=None)


def forget_last_commit(checkpoint: Path) -> None:
    """As if the process had died after its work and before Spark wrote that down."""
    number = last_commit(checkpoint)
    if number is not None:
        (checkpoint / "commits" / str(number)).unlink()
        (checkpoint / "commits" / f".{number}.crc").unlink(missing_ok=True)


def behind(settings: Settings, ends: dict[int, int] | None = None) -> int:
    """Records that a query has not finished; of two queries, those of the slower.

    Args:
        settings: topic and checkpoints.
        ends: up to where the topic is looked at; what it holds by now if it is not given.
    """
    asked = topic_ends(settings) if ends is None else ends
    left = []
    for query in QUERIES:
        checkpoint = settings.checkpoint_dir / query
        number = last_commit(checkpoint)
        done = {} if number is None else OffsetLog(checkpoint, settings.topic).span(number).end
        left.append(sum(max(0, end - done.get(partition, 0)) for partition, end in asked.items()))
    return max(left)


def topic_ends(settings: Settings) -> dict[int, int]:
    """The offset after the last record of each partition that the topic has by now."""
    consumer = KafkaConsumer(**kafka_options(settings), enable_auto_commit=False)
    try:
        numbers = sorted(consumer.partitions_for_topic(settings.topic) or ())
        ends = consumer.end_offsets([TopicPartition(settings.topic, number) for number in numbers])
        return {one.partition: end for one, end in ends.items()}
    finally:
        consumer.close()
