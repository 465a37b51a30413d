"""What the detector remembers: every pass that a later one may still contradict, and the newest time that
was seen.

The passes lie in pieces that never change. A batch adds one; eight of a level are put together into one of
the next, until a piece is large enough to stay; a piece goes once all of it is forgotten. So what a batch
writes is its own passes a few times over, however much is remembered::

    [large][large] … [large]   [64 batches][64] …   [8 batches][8] …   [batch][batch] …
    └ forgotten from here                                                          └ newest
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

# Below this no time was seen; far from any date, and far from the edge of 64 bits.
NO_TIME: Final = -(10**15)

_WORD: Final = pa.dictionary(pa.int32(), pa.string())  # few values, each many times
STATE_SCHEMA: Final = pa.schema(
    [
        ("gcxh", pa.string()),
        ("kkmc", _WORD),
        ("hpzl", _WORD),
        ("hphm", pa.string()),
        ("clppxh", _WORD),
        ("t", pa.int64()),
        ("key", pa.uint64()),
    ]
)
# A pass as it arrives: ``arrival`` is null where nobody knows it (a file), and then nothing is too far ahead.
BATCH_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("gcxh", "kkmc", "hpzl", "hphm", "clppxh")]
    + [("t", pa.int64()), ("arrival", pa.int64())]
)
# Pieces of a level that become one of the next, and the passes from which on a piece stays.
FAN: Final = 8
LARGE: Final = 8_000
LAST_LEVEL: Final = 99


@dataclass(frozen=True, eq=False)
class Piece:
    """Some passes.

    Attributes:
        passes: ``STATE_SCHEMA`` by ``key``.
        level: how often they were put together with others; ``LAST_LEVEL`` if they never are again.
    """

    passes: pa.Table
    level: int

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """Plate keys, rising."""
        return np.asarray(self.passes["key"].to_numpy())

    @cached_property
    def last(self) -> int:
        """Newest time in it, in seconds of local time."""
        return int(pc.max(self.passes["t"]).as_py())


@dataclass(frozen=True)
class State:
    """All that is remembered.

    Attributes:
        newest: newest time seen, in seconds of local time; ``NO_TIME`` if none.
        pieces: in no order that matters; every pass is in one of them.
        large: passes from which on a piece stays as it is.
    """

    newest: int = NO_TIME
    pieces: tuple[Piece, ...] = ()
    large: int = LARGE

    def __len__(self) -> int:
        return sum(len(piece.passes) for piece in self.pieces)

    def under(self, keys: npt.NDArray[np.uint64]) -> pa.Table:
        """The passes under some plate keys."""
        wanted = np.unique(keys)
        found = [taken for piece in self.pieces if len(taken := _under(piece, wanted))]
        return pa.concat_tables(found) if found else STATE_SCHEMA.empty_table()

    def grown(self, fresh: pa.Table, newest: int, horizon: int) -> State:
        """The state with more passes (``STATE_SCHEMA``), without what is older than ``horizon``.

        A pass that is kept a little longer changes no result: nothing on time is within the window of it.
        """
        pieces = [piece for piece in self.pieces if piece.last >= horizon]
        young = _piece([fresh], 0, horizon, self.large)
        if young:
            pieces.append(young)
        level = 0
        while len(group := [piece for piece in pieces if piece.level == level]) >= FAN:
            joined = _piece([piece.passes for piece in group], level + 1, horizon, self.large)
            pieces = [piece for piece in pieces if piece.level != level] + ([joined] if joined else [])
            level += 1
        return State(newest, tuple(pieces), self.large)


def _under(piece: Piece, wanted: npt.NDArray[np.uint64]) -> pa.Table:
    low, high = (np.searchsorted(piece.keys, wanted, side) for side in ("left", "right"))
    hit = np.flatnonzero(high > low)
    if not len(hit):
        return STATE_SCHEMA.empty_table()
    rows = np.concatenate([np.arange(low[at], high[at]) for at in hit])
    return piece.passes.take(pa.array(rows))


def _piece(tables: Iterable[pa.Table], level: int, horizon: int, large: int) -> Piece | None:
    joined = pa.concat_tables(tables)
    joined = joined.filter(pc.greater_equal(joined["t"], horizon))
    if not len(joined):
        return None
    whole = joined.unify_dictionaries().sort_by("key").combine_chunks()
    return Piece(whole, LAST_LEVEL if len(whole) >= large else level)


def plate_keys(plates: pl.Series) -> npt.NDArray[np.uint64]:
    """A number for each plate, the same in every run and version: equal plates have equal numbers.

    >>> int(plate_keys(pl.Series(["苏C12345"]))[0])
    13511129491371126323
    """
    return pd.util.hash_array(plates.to_numpy().astype(object), categorize=False)
