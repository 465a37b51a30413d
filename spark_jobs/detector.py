"""The detector of the stream: looks at each batch, judges, and keeps what it remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from kakou.detection.casebook import Casebook, Told
from kakou.detection.contradictions import Counts, contradictions_of
from kakou.detection.memory import Memory
from kakou.detection.state import BATCH_SCHEMA
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings
from spark_jobs.casebook_store import CasebookStore
from spark_jobs.current_rules import Known, current_rules

# To the millisecond: a shipper that was away sends hours of passes in seconds, over all partitions at once.
_ORDER: Final = [("moment", "ascending"), ("partition", "ascending"), ("offset", "ascending")]


class Detector:
    """Contradictions and verdicts, one batch after another.

    It lives in the driver. A verdict needs what lies under other plates, so all passes come together in one
    place anyway; to look for contradictions there too costs less than the way to workers and back.

    Args:
        settings: name what detection goes by.
        folder: where versions of the casebook are kept.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._store = CasebookStore(folder)
        self._memory: Memory | None = None
        self._taken = -1
        self._book: Casebook | None = None
        self._known: Known | None = None

    def take(self, batch: int, arrived: pa.Table) -> tuple[list[Told], Counts]:
        """Looks at the passes of one batch, and keeps what is remembered after it.

        Args:
            batch: its number; a batch that is done again after a crash has the same.
            arrived: columns of ``BATCH_SCHEMA`` and ``moment``, ``partition``, ``offset``, in any order.

        Returns:
            what is told of plates whose verdict is new or has changed; what became of the passes.

        Raises:
            DiskFullError: no room is left.
            StateFormatError: what was kept cannot be read.
        """
        ordered = arrived.sort_by(_ORDER).select(BATCH_SCHEMA.names).cast(BATCH_SCHEMA)
        memory, book, known = self._opened(batch)
        newest, found, counts, fresh = contradictions_of(book.passes, ordered, known.rules)
        told = book.take(fresh, pl.DataFrame(pl.from_arrow(found)), newest)
        self._store.save(batch, memory)
        self._memory, self._taken = memory, batch
        # Pieces come and go in all sizes; without this the pool keeps what it once needed.
        pa.default_memory_pool().release_unused()
        return told, counts

    def _opened(self, batch: int) -> tuple[Memory, Casebook, Known]:
        known = current_rules(self._settings)
        # Should anything fail before the batch is kept, what is in memory is half changed and is read again.
        memory, self._memory = self._memory, None
        if memory is None or batch <= self._taken:
            memory, self._book = self._store.load(batch), None
        if self._book is None or self._known is not known:
            self._book = Casebook(memory, known.rules, known.knowledge, known.past, self._stamp)
            self._known = known
        return memory, self._book, known

    def _stamp(self, _seconds: int) -> str:
        return now_stamp(utc_now(), self._settings.timezone)
