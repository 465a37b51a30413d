"""Words of the ledger: what is read for it, and what it says.

An id is kept as a number, ``id_number``, and the 12 fields as ``checksums``: ten million records then take
some hundred megabytes. Both are 64 bits wide, so two ids that differ look alike about once in 300,000 ledgers
of ten million records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spark_jobs.producer_log import Status

PLACE: Final = ("partition", "offset")
_PLACES: Final[dict[str, Any]] = {"partition": pl.Int32, "offset": pl.Int64}
_CONTENT: Final[dict[str, Any]] = {"id": pl.Int64, "checksum": pl.UInt64}
PLACE_SCHEMA: Final = _PLACES
TOPIC_SCHEMA: Final = {**_PLACES, **_CONTENT}
STORED_SCHEMA: Final = {**_PLACES, **_CONTENT, "node": pl.Int8}
OLDER_SCHEMA: Final = _CONTENT
ATTEMPT_SCHEMA: Final = {"id": pl.Int64, "status": pl.Enum(get_args(Status)), **_PLACES}
RANGE_SCHEMA: Final = {
    "node": pl.Int8,
    "query": pl.String,
    "batch": pl.Int64,
    "partition": pl.Int32,
    "start": pl.Int64,
    "end": pl.Int64,
}
COUNT_SCHEMA: Final = {"node": pl.Int8, "query": pl.String, "batch": pl.Int64, "taken": pl.Int64}


def id_number(gcxh: bytes) -> int:
    """An id as a signed 64-bit number; the same one only within this process."""
    return hash(gcxh)


def checksums(values: Iterable[bytes]) -> NDArray[np.uint64]:
    """The first 64 bits of MD5 over each wire form of a pass; a node reckons the same from its columns.

    >>> checksums([b"", b"a"]).tolist()
    [15284527576400310788, 919145239626757800]
    """
    digests = b"".join([hashlib.md5(value, usedforsecurity=False).digest() for value in values])
    return np.frombuffer(digests, dtype=">u8")[::2].astype(np.uint64)


def nothing(schema: Mapping[str, Any]) -> pl.DataFrame:
    """A frame without rows."""
    return pl.DataFrame(schema=schema)


@dataclass(frozen=True)
class Evidence:
    """All that was read, for ``laws.balance``.

    Attributes:
        spans: partition to the first offset that the topic holds and the one after the last that is asked
            about.
        ends: partition to the offset after its last one when everything else had been read.
        topic: its records within ``spans`` (``TOPIC_SCHEMA``). An offset that has none, as behind a
            transaction, needs no fate.
        stored: every row of every node, as it lies there (``STORED_SCHEMA``; ``node`` counts from 0).
        placeless: rows that name no place.
        archive: archived rows within the topic (``TOPIC_SCHEMA``), whether or not a node still has them.
        older: further archived rows, by content alone (``OLDER_SCHEMA``).
        duplicates, rejected: places with such a fate.
        conflicts: places that retention found to contradict an archived row; they count as rejected.
        due: places of refused records whose bytes the rejected topic must still hold.
        kept: places of which it does.
        ranges: offsets of each batch by node and partition (``RANGE_SCHEMA``; ``end`` is exclusive).
        counts: records that each node says it stored or found repeated, by batch (``COUNT_SCHEMA``).
        nodes: their names, the first one being where fates of refused records lie.
        only_first: whether the first node alone writes batches down (route ``endpoint``).
        attempts: the producer log (``ATTEMPT_SCHEMA``), None if there is none.
    """

    spans: Mapping[int, tuple[int, int]]
    ends: Mapping[int, int]
    topic: pl.DataFrame
    stored: pl.DataFrame
    duplicates: pl.DataFrame = field(default_factory=lambda: nothing(PLACE_SCHEMA))
    rejected: pl.DataFrame = field(default_factory=lambda: nothing(PLACE_SCHEMA))
    conflicts: pl.DataFrame = field(default_factory=lambda: nothing(PLACE_SCHEMA))
    placeless: int = 0
    archive: pl.DataFrame = field(default_factory=lambda: nothing(TOPIC_SCHEMA))
    older: pl.DataFrame = field(default_factory=lambda: nothing(OLDER_SCHEMA))
    due: pl.DataFrame = field(default_factory=lambda: nothing(PLACE_SCHEMA))
    kept: pl.DataFrame = field(default_factory=lambda: nothing(PLACE_SCHEMA))
    ranges: pl.DataFrame = field(default_factory=lambda: nothing(RANGE_SCHEMA))
    counts: pl.DataFrame = field(default_factory=lambda: nothing(COUNT_SCHEMA))
    nodes: tuple[str, ...] = ("dn1", "dn2")
    only_first: bool = False
    attempts: pl.DataFrame | None = None


@dataclass(frozen=True)
class PartitionLedger:
    """Fates of the offsets ``[start, end)`` of one partition; ``gaps`` have none."""

    partition: int
    start: int
    end: int
    stored: int
    rejected: int
    duplicate: int
    gaps: int


@dataclass(frozen=True)
class Law:
    """One law of the ledger and what it found.

    Attributes:
        law: ``L1`` … ``L6``, or ``bytes`` (what was refused can still be read).
        count: how many places, rows or batches break it; 0 if it holds.
        words: what was found, with a few places.
    """

    law: str
    count: int
    words: str

    @property
    def held(self) -> bool:
        """True if nothing breaks it."""
        return self.count == 0


@dataclass(frozen=True)
class Ledger:
    """What ``kakou ledger check`` says.

    Attributes:
        lost: records that the topic took and that have no fate, no true one, or no bytes any more.
        doubled: rows and fates beyond the first of an id or an offset, over all nodes together.
        unexpected: fates that no record of the topic stands behind.
        behind: those of the lost that lie beyond the last batch: not handled yet.
        laws: every law, held or not.
    """

    partitions: tuple[PartitionLedger, ...]
    lost: int
    doubled: int
    unexpected: int
    behind: int
    laws: tuple[Law, ...]

    @property
    def balanced(self) -> bool:
        """True if every law holds."""
        return all(law.held for law in self.laws)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the laws that do not hold."""
        return tuple(law.law for law in self.laws if not law.held)
