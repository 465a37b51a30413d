"""What the detector remembers of one bucket of plates: one Arrow table, and its bytes.

The table holds every pass that a later one may still contradict, with the newest time that was seen in its
metadata.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from kakou.errors import StateFormatError

STATE_FORMAT: Final = 1
# Below this no time was seen; far from any date, and far from the edge of 64 bits.
NO_TIME: Final = -(10**15)

STATE_SCHEMA: Final = pa.schema(
    [
        ("gcxh", pa.large_string()),
        ("kkmc", pa.large_string()),
        ("hpzl", pa.large_string()),
        ("hphm", pa.large_string()),
        ("clppxh", pa.large_string()),
        ("t", pa.int64()),
    ]
)
# A pass as it arrives: ``arrival`` is null where nobody knows it (a file), and then nothing is too far ahead.
BATCH_SCHEMA: Final = STATE_SCHEMA.append(pa.field("arrival", pa.int64()))

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


def empty_state() -> pa.Table:
    """The state of a bucket that has seen nothing."""
    return with_newest(STATE_SCHEMA.empty_table(), NO_TIME)


def with_newest(table: pa.Table, newest: int) -> pa.Table:
    """The same passes, with ``newest`` as the newest time seen."""
    return table.replace_schema_metadata({b"format": str(STATE_FORMAT), b"newest": str(newest)})


def newest_of(state: pa.Table) -> int:
    """Newest time seen, in seconds of local time; ``NO_TIME`` if none."""
    return int((state.schema.metadata or {}).get(b"newest", NO_TIME))


def to_bytes(state: pa.Table) -> bytes:
    """The state as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, state.schema, options=_COMPRESSED) as writer:
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
