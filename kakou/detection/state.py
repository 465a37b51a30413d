"""What the detector remembers of one bucket of plates: one Arrow table, and its bytes.

The table holds every pass that a later one may still contradict, with the newest time that was seen in its
metadata.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from kakou.errors import StateFormatError

STATE_FORMAT: Final = 2
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
# What is forgotten is cleared away in larger strokes, and what is added is joined in larger strokes.
_SMALL: Final = 1_000
_STALE_SHARE: Final = 16
_PIECES: Final = 16


def empty_state() -> pa.Table:
    """The state of a bucket that has seen nothing."""
    return with_newest(STATE_SCHEMA.empty_table(), NO_TIME)


def with_newest(table: pa.Table, newest: int) -> pa.Table:
    """The same passes, with ``newest`` as the newest time seen."""
    return table.replace_schema_metadata({b"format": str(STATE_FORMAT), b"newest": str(newest)})


def plate_keys(plates: pl.Series) -> npt.NDArray[np.uint64]:
    """A number for each plate, the same in every run and version: equal plates have equal numbers.

    >>> int(plate_keys(pl.Series(["苏C12345"]))[0])
    13511129491371126323
    """
    return pd.util.hash_array(plates.to_numpy().astype(object), categorize=False)


def grow(state: pa.Table, fresh: pa.Table, horizon: int) -> pa.Table:
    """Adds passes, and forgets those older than ``horizon`` when there are enough of them to be worth the
    copy.

    A pass that is kept a little longer changes no result: nothing on time is within the window of it.
    """
    kept = state
    if len(state):
        stale = state["t"].to_numpy() < horizon
        many = int(stale.sum())
        if many and (len(state) < _SMALL or many * _STALE_SHARE > len(state)):
            kept = state.filter(pa.array(~stale))
    young = fresh.cast(STATE_SCHEMA).filter(pc.greater_equal(fresh["t"], horizon))
    grown = pa.concat_tables([kept.replace_schema_metadata(None), young]).unify_dictionaries()
    return grown.combine_chunks() if grown["t"].num_chunks > _PIECES else grown


def newest_of(state: pa.Table) -> int:
    """Newest time seen, in seconds of local time; ``NO_TIME`` if none."""
    return int((state.schema.metadata or {}).get(b"newest", NO_TIME))


def to_bytes(state: pa.Table) -> bytes:
    """The state as one Arrow IPC stream. Not compressed: the store that keeps it does that, and once."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, state.schema) as writer:
        writer.write_table(state)
    return bytes(sink.getvalue())


def from_bytes(blob: bytes) -> pa.Table:
    """Reads what ``to_bytes`` wrote.

    Raises:
        StateFormatError: written by a version with another format.
    """
    try:
        table = pa.ipc.open_stream(blob).read_all()
    except pa.ArrowInvalid as error:
        raise StateFormatError(f"The detection state cannot be read ({error}). {_MEND}") from error
    found = int((table.schema.metadata or {}).get(b"format", 0))
    if found != STATE_FORMAT:
        raise StateFormatError(
            f"The detection state has format {found}, this version reads {STATE_FORMAT}. {_MEND}"
        )
    return table


_MEND: Final = (
    "Start the version that wrote it, or remove the checkpoint of the detection query; "
    "it then reads what Kafka still holds again."
)
