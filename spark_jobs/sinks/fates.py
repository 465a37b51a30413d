"""What is written down about a batch beside its rows: its name, its duplicates, its refused records.

Both routes write it, in a transaction of the node that keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from spark_jobs.sinks.sorting import DUPLICATE

_ADD_DUPLICATE: Final = (
    "INSERT IGNORE INTO duplicate_records (kafka_partition, kafka_offset, id, batch_id, reason) "
    "VALUES (%s, %s, %s, %s, %s)"
)
_ADD_REJECTED: Final = (
    "INSERT IGNORE INTO rejected_records (kafka_partition, kafka_offset, reason, batch_id) "
    "VALUES (%s, %s, %s, %s)"
)
_ADD_BATCH: Final = (
    "INSERT INTO batch_ledger "
    "(query, batch_id, offsets_start, offsets_end, stored, duplicates, rejected, committed_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, NOW(3))"
)


@dataclass(frozen=True)
class Batch:
    """A micro-batch by name: query, number, and the offsets that it spans (end is exclusive)."""

    query: str
    number: int
    start: Mapping[int, int]
    end: Mapping[int, int]

    @property
    def offsets(self) -> tuple[str, str]:
        """Start and end as JSON."""
        return _offsets(self.start), _offsets(self.end)


def is_written(cursor: Any, batch: Batch) -> bool:
    """True if this node has committed the batch."""
    cursor.execute(
        "SELECT 1 FROM batch_ledger WHERE query = %s AND batch_id = %s", (batch.query, batch.number)
    )
    return cursor.fetchone() is not None


def add_batch(cursor: Any, batch: Batch, stored: int, duplicates: int, rejected: int) -> None:
    """Writes the batch down; the caller commits."""
    cursor.execute(_ADD_BATCH, (batch.query, batch.number, *batch.offsets, stored, duplicates, rejected))


def add_duplicates(cursor: Any, batch: Batch, duplicates: pl.DataFrame) -> int:
    """Writes down repeated records; returns how many were not written down before."""
    if duplicates.is_empty():
        return 0
    rows = duplicates.select("partition", "offset", "gcxh").rows()
    return int(cursor.executemany(_ADD_DUPLICATE, [(*row, batch.number, DUPLICATE) for row in rows]) or 0)


def add_rejected(cursor: Any, batch: Batch, rejected: pl.DataFrame) -> None:
    """Writes down refused records by place and reason; their bytes lie in the rejected topic."""
    if len(rejected):
        rows = rejected.select("partition", "offset", "reason").rows()
        cursor.executemany(_ADD_REJECTED, [(*row, batch.number) for row in rows])


def open_flow(cursor: Any, flow: pl.DataFrame) -> pl.DataFrame:
    """The part of a roll-up whose days are open.

    The passes of a closed day are archived and deleted, and its roll-up is counted from the archive: added
    here, a pass that is sent again would count twice.
    """
    days = flow["day"].unique().to_list()
    if not days:
        return flow
    cursor.execute("SELECT CAST(day AS CHAR) FROM closed_days WHERE day IN %s", (days,))
    closed = [row[0] for row in cursor.fetchall()]
    return flow.filter(~pl.col("day").is_in(closed)) if closed else flow


def _offsets(by_partition: Mapping[int, int]) -> str:
    return json.dumps({str(partition): by_partition[partition] for partition in sorted(by_partition)})
