"""A small cache for live numbers, so that many screens cost one query."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")

MAX_KEYS: Final = 1024


class TtlCache:
    """Keeps a value for some seconds; while it is being made, everybody else waits for that one.

    An error is shared by those who waited for it and then forgotten: the next caller tries again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Hashable, tuple[float, Future[Any]]] = {}

    def get(self, key: Hashable, seconds: float, make: Callable[[], T]) -> T:
        """The value of ``key``, at most ``seconds`` old; one thread at a time makes it."""
        now = self._clock()
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None or (entry[1].done() and entry[0] <= now)
            if mine:
                future: Future[Any] = Future()
                self._make_room(now)
                self._entries[key] = (now + seconds, future)
            else:
                assert entry is not None
                future = entry[1]
        if mine:
            self._fill(key, seconds, future, make)
        value: T = future.result()
        return value

    def _fill(self, key: Hashable, seconds: float, future: Future[Any], make: Callable[[], Any]) -> None:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                self._entries.pop(key, None)
            future.set_exception(error)
        else:
            with self._lock:
                self._entries[key] = (self._clock() + seconds, future)
            future.set_result(value)

    def _make_room(self, now: float) -> None:
        """Keys come from callers, so their number is held down; a flight under way is never dropped."""
        if len(self._entries) < MAX_KEYS:
            return
        for key in [k for k, (until, future) in self._entries.items() if future.done() and until <= now]:
            del self._entries[key]
        for key in [k for k, (_, future) in self._entries.items() if future.done()]:
            if len(self._entries) < MAX_KEYS:
                break
            del self._entries[key]
