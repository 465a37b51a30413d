"""Re-shards that are killed on the way. A module of its own, since each child imports it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter

from kakou.settings import Settings
from sql.reshard import move


def move_and_die(settings: Settings, count: int, phase: str, after: int) -> None:
    """A re-shard in a process of its own, killed when ``phase`` was told of ``after`` times before."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["sql.reshard"])  # a child then begins in a moment
    child = processes.Process(target=_move_until, args=(settings, count, phase, after))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL, f"{phase}: {child.exitcode}"


def _move_until(settings: Settings, count: int, phase: str, after: int) -> None:
    seen = Counter[str]()

    def tell(now: str, _done: int, _all: int) -> None:
        seen[now] += 1
        if now == phase and seen[now] > after:
            os.kill(os.getpid(), signal.SIGKILL)

    move(settings, count, tell)
