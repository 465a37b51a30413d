"""Stopping a query between two batches, also while a backlog keeps it busy without a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pyspark.sql import DataFrame

Sink = Callable[[DataFrame, int], None]


class BatchBoundary:
    """Lets no batch begin once ``stop`` is set, so that the one that runs is the last.

    A batch that is held at its beginning has written nothing and is not written down by Spark: it comes again
    at the next start. Its thread is held for good, so the process must then end without waiting for it.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._resting: set[str] = set()

    def guard(self, query: str, sink: Sink) -> Sink:
        """The sink of a query, held at the next batch after ``stop``."""

        def guarded(rows: DataFrame, number: int) -> None:
            if self._stop.is_set():
                self._resting.add(query)
                threading.Event().wait()
            sink(rows, number)

        return guarded

    def rests(self, query: str) -> bool:
        """True once the query is held between two batches."""
        return query in self._resting
