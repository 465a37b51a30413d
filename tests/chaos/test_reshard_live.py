"""A third node under a stream that runs: it is stopped, started again by the move, and nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer
from reshard_world import GATES, PARTITIONS, ask, misplaced, record
from rich.console import Console

from kakou.connections import kafka_options, node_names
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.supervision import Supervisor
from spark_jobs.ledger.check import read_ledger
from sql.reshard import move

pytestmark = [pytest.mark.chaos, pytest.mark.spark]
A_SECOND, FIRST = 200, 4_000
COUNT = "SELECT COUNT(*) FROM traffic_data"


class Feed:
    """``FIRST`` records at once, then more at a steady rate until it is left."""

    def __init__(self, settings: Settings) -> None:
        self._producer = KafkaProducer(**kafka_options(settings), linger_ms=20)
        self._topic = settings.topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            partition = self.sent % PARTITIONS
            self._producer.send(self._topic, key=b"k", value=record(self.sent), partition=partition)
            self.sent += 1

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            self.send(A_SECOND // 10)

    def __enter__(self) -> Feed:
        self.send(FIRST)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.flush()
        self._producer.close()


def rows(settings: Settings) -> int:
    return int(str(ask(settings, "endpoint", COUNT)[0][0]))


def test_records_wait_while_rows_move_and_every_one_is_stored_once(
    own_stack: Callable[..., Settings],
) -> None:
    settings = own_stack("reshard")
    lifecycle.up(settings, {"stream"}, console=Console(quiet=True))
    seen: list[int] = []
    with Feed(settings) as feed:
        end = time.monotonic() + 240
        while rows(settings) < FIRST:
            assert time.monotonic() < end, Supervisor(settings).states()["stream"]
            time.sleep(1)
        moved = move(settings, 3, lambda *_: seen.append(rows(settings)))
    assert moved.copied > 500 and moved.stream_paused_s is not None
    assert seen == sorted(seen), "a reader was told of fewer rows than before"
    assert node_names(settings) == ("dn1", "dn2", "dn3")
    ledger = read_ledger(settings, wait_seconds=240)
    assert ledger.balanced, ledger
    assert rows(settings) == feed.sent == sum(one.stored for one in ledger.partitions)
    assert misplaced(settings) == []
    gates = {gate for (gate,) in ask(settings, "dn3", "SELECT DISTINCT kkmc FROM traffic_data")}
    assert 5 < len(gates) < len(GATES) / 2
    print(f"stream stopped for {moved.stream_paused_s} s; {moved}")
