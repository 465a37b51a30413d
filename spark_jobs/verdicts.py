"""Second stage of query ``detection``, on the driver: one verdict for each plate with contradictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa

from kakou.detection.casebook import Casebook, Memory, Told
from kakou.detection.contradictions import CONTRADICTION_SCHEMA, Counts
from kakou.detection.horizon import Past
from kakou.detection.state import STATE_SCHEMA
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings
from spark_jobs.casebook_store import CasebookStore
from spark_jobs.current_rules import Known, current_rules

_FOUND: Final = (
    pl.DataFrame(schema=CONTRADICTION_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
)


class Verdicts:
    """The casebook of the stream, and where it is kept.

    There is one, as a verdict needs what lies in all buckets, and it takes few passes. It lives in this
    process, because a second stage of Spark's would cost each batch as much as all the rest.

    Args:
        settings: name what detection goes by.
        folder: where versions of the casebook are kept.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._store = CasebookStore(folder)
        self._memory: Memory | None = None
        self._book: Casebook | None = None
        self._known: Known | None = None

    def take(self, batch: int, looked: Sequence[Any]) -> tuple[list[Told], Counts]:
        """Judges what all buckets gave in one batch, and keeps what is remembered after it.

        Args:
            batch: its number; a batch that is done again after a crash has the same.
            looked: rows of ``bucket.OUTPUT``.

        Returns:
            what is told of plates whose verdict is new or has changed; the counts of the buckets.

        Raises:
            DiskFullError: no room is left.
            StateFormatError: what was kept cannot be read.
        """
        counts = sum((Counts(**json.loads(one.counts)) for one in looked), Counts())
        memory, book = self._opened(batch)
        # Should anything fail from here, what is in memory is half changed and is read again.
        self._memory = None
        told = book.take(
            _together((one.fresh for one in looked), STATE_SCHEMA),
            pl.DataFrame(pl.from_arrow(_together((one.found for one in looked), _FOUND))),
            max(one.newest for one in looked),
        )
        self._store.save(batch, memory)
        self._memory = memory
        return told, counts

    def _opened(self, batch: int) -> tuple[Memory, Casebook]:
        known = current_rules(self._settings)
        if self._memory is None:
            self._memory, self._book = self._store.load(batch), None
        if self._book is None or self._known is not known:
            self._book = Casebook(self._memory, known.rules, known.knowledge, Past(), self._stamp)
            self._known = known
        return self._memory, self._book

    def _stamp(self, _seconds: int) -> str:
        return now_stamp(utc_now(), self._settings.timezone)


def _together(blobs: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(bytes(blob)).read_all() for blob in blobs]
    return pa.concat_tables([one.cast(schema) for one in tables if len(one)] or [schema.empty_table()])
