"""Laws 1, 4 and 5 for one partition: which fates its offsets have, and whether rows are what was sent. Pure.

An array has one element per offset of the span, so a partition of ten million records takes some hundred
megabytes and no join.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spark_jobs.ledger.evidence import Evidence, PartitionLedger

Offsets = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Found:
    """What one partition showed; offsets are absolute and in order.

    Attributes:
        gaps: offsets without a fate.
        several: offsets with more than one fate; ``surplus`` counts the fates beyond the first.
        foreign: offsets at which a row or a duplicate lies that the topic does not have, or has under
            another id.
        changed: offsets whose row differs from the record.
        misplaced: offsets that a producer was told for a record that does not lie there.
        holes: offsets at which the topic has no record.
    """

    ledger: PartitionLedger
    gaps: Offsets
    several: Offsets
    surplus: int
    foreign: Offsets
    changed: Offsets
    misplaced: Offsets
    holes: int


class Partition:
    """The records of one partition, by offset.

    Args:
        number: the partition.
        span: its first offset and the one after its last.
        topic: records of the whole topic, ``TOPIC_SCHEMA``.
    """

    def __init__(self, number: int, span: tuple[int, int], topic: pl.DataFrame) -> None:
        self.number = number
        self.start, self.end = span
        size = max(self.end - self.start, 0)
        self.present: Flags = np.zeros(size, dtype=np.bool_)
        self.ids = np.zeros(size, dtype=np.int64)
        self.sums = np.zeros(size, dtype=np.uint64)
        mine = self.within(topic)
        at = self.at(mine)
        self.present[at] = True
        self.ids[at] = mine["id"].to_numpy()
        self.sums[at] = mine["checksum"].to_numpy()

    def within(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those rows whose place lies in this span."""
        inside = pl.col("offset").is_between(self.start, self.end, closed="left")
        return rows.filter(pl.col("partition") == self.number, inside)

    def at(self, rows: pl.DataFrame) -> Offsets:
        """Positions in the arrays."""
        return rows["offset"].to_numpy() - self.start

    def offsets(self, flags: Any) -> Offsets:
        """Offsets whose flag is set."""
        return np.flatnonzero(flags) + self.start

    def count(self, places: pl.DataFrame) -> Offsets:
        """How often each offset is named."""
        return np.bincount(self.at(self.within(places)), minlength=len(self.present))


def look(one: Partition, evidence: Evidence, rows: pl.DataFrame) -> Found:
    """Compares one partition with its fates.

    Args:
        one: the partition.
        evidence: what was read.
        rows: rows of all nodes and of the archive, each row once wherever it lies.
    """
    stored = one.count(rows)
    rejected = one.count(evidence.rejected) + one.count(evidence.conflicts)
    duplicate = one.count(evidence.duplicates)
    fates = stored + rejected + duplicate
    gaps = one.present & (fates == 0)
    # Where the topic holds no record nothing can be stored or repeated.
    foreign = ~one.present & (fates > 0)
    changed = np.zeros(len(foreign), dtype=np.bool_)
    for held in (one.within(evidence.stored), one.within(evidence.archive)):
        at = one.at(held)
        foreign[at[one.present[at] & (held["id"].to_numpy() != one.ids[at])]] = True
        changed[at[one.present[at] & (held["checksum"].to_numpy() != one.sums[at])]] = True
    ledger = PartitionLedger(
        one.number,
        one.start,
        one.end,
        int((stored > 0).sum()),
        int((rejected > 0).sum()),
        int((duplicate > 0).sum()),
        int(gaps.sum()),
    )
    return Found(
        ledger,
        gaps=one.offsets(gaps),
        several=one.offsets(fates > 1),
        surplus=int((fates[fates > 1] - 1).sum()),
        foreign=one.offsets(foreign),
        changed=one.offsets(changed),
        misplaced=_misplaced(one, evidence.attempts, (stored > 0) | (duplicate > 0)),
        holes=int((~one.present).sum()),
    )


def _misplaced(one: Partition, attempts: pl.DataFrame | None, understood: Flags) -> Offsets:
    """Acknowledged offsets at which the topic holds nothing, or another id."""
    wrong = np.zeros(len(one.present), dtype=np.bool_)
    if attempts is not None:
        told = one.within(attempts.filter(pl.col("status") == "ok"))
        at = one.at(told)
        # The id of a record that nobody understood is not known.
        other = understood[at] & (told["id"].to_numpy() != one.ids[at])
        wrong[at[other | ~one.present[at]]] = True
    return one.offsets(wrong)
