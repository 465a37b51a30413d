"""Edge: the files of the archive, and what they say beside the keys of a node.

Memory is bounded: DuckDB joins and counts, and spills what is larger.

``<var>/history/day=YYYY-MM-DD/`` holds ``<node>-<n>.parquet``, ``_COUNTS.json`` (rows by node) and, where a
record came under an archived id with another payload, ``_CONFLICTS.jsonl``. The Parquet files hold the 12
fields under their names in files, then KAFKA_PARTITION, KAFKA_OFFSET and BATCH_ID; each id of a day once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from kakou.disk_room import disk_full, says_disk_full
from kakou.errors import StorageError
from kakou.fields import FIELDS_12
from kakou.settings import Settings

COUNTS_FILE: Final = "_COUNTS.json"
CONFLICTS_FILE: Final = "_CONFLICTS.jsonl"
MEMORY_LIMIT: Final = "400MB"
ROW_GROUP: Final = 100_000
_TYPES: Final = {"GCSJ": pa.timestamp("s"), "IS_WEEKEND": pa.int8(), "IS_PEAK_HOUR": pa.int8()}
SCHEMA: Final = pa.schema(
    [
        *((name, _TYPES.get(name, pa.string())) for name in FIELDS_12),
        ("KAFKA_PARTITION", pa.int32()),
        ("KAFKA_OFFSET", pa.int64()),
        ("BATCH_ID", pa.int64()),
    ]
)
COLUMNS: Final = ", ".join("id" if name == "GCXH" else name.lower() for name in SCHEMA.names)

Place = tuple[int | None, int | None]


def day_folder(settings: Settings, day: date) -> Path:
    """Where ``day`` is archived."""
    return settings.history_dir / f"day={day.isoformat()}"


def is_archived(settings: Settings, day: date) -> bool:
    """Whether ``day`` has a whole archive."""
    return (day_folder(settings, day) / COUNTS_FILE).is_file()


def files_of(folder: Path) -> list[str]:
    """The Parquet files of an archived day, or of a draft of one."""
    return sorted(str(path) for path in folder.glob("*.parquet"))


@contextmanager
def engine(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A private in-memory database whose larger-than-memory work spills below ``spill``.

    Raises:
        StorageError: a file of the archive cannot be read; the message names it.
        DiskFullError: no room for the spill.
    """
    options: dict[str, str | int] = {
        "memory_limit": MEMORY_LIMIT,
        "threads": 1,  # the stream needs the other core
        "temp_directory": str(spill),
        "autoinstall_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    with closing(duckdb.connect(config=options)) as connection:
        connection.execute("SET enable_progress_bar = false")
        try:
            yield connection
        except duckdb.Error as error:
            if says_disk_full(str(error)) or isinstance(error, duckdb.OutOfMemoryException):
                raise disk_full(spill) from error
            raise StorageError(
                f"The archive cannot be read: {str(error).splitlines()[0]}. Restore the file from a backup."
            ) from error


def write_missing(
    connection: duckdb.DuckDBPyConnection, keys: Path, archived: Sequence[str], target: Path
) -> int:
    """Writes those (time, id) of ``keys`` whose id is in no file of ``archived``, in their order.

    Returns:
        how many they are.
    """
    without = "ANTI JOIN read_parquet($archived) known USING (GCXH)" if archived else ""
    values: dict[str, Any] = {"keys": str(keys)} | ({"archived": list(archived)} if archived else {})
    connection.execute(
        f"COPY (SELECT GCSJ, GCXH FROM read_parquet($keys) {without} ORDER BY GCSJ, GCXH) "  # noqa: S608
        f"TO '{_escaped(target)}' (FORMAT parquet)",
        values,
    )
    return int(pq.read_metadata(target).num_rows)


def write_archived(
    connection: duckdb.DuckDBPyConnection, keys: Path, archived: Sequence[str], target: Path
) -> int:
    """Writes id and place in the archive of those ``keys`` that are archived; returns how many they are."""
    connection.execute(
        "COPY (SELECT keys.GCXH, known.KAFKA_PARTITION, known.KAFKA_OFFSET "  # noqa: S608
        "FROM read_parquet($keys) keys JOIN read_parquet($archived) known USING (GCXH) "
        f"ORDER BY keys.GCSJ, keys.GCXH) TO '{_escaped(target)}' (FORMAT parquet)",
        {"keys": str(keys), "archived": list(archived)},
    )
    return int(pq.read_metadata(target).num_rows)


def lists_of(path: Path, columns: Sequence[str], rows: int) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a file in lists of at most ``rows``."""
    for batch in pq.ParquetFile(path).iter_batches(rows, columns=list(columns)):
        yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def payloads(
    connection: duckdb.DuckDBPyConnection, archived: Sequence[str], ids: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """The 12 fields that the archive holds under ``ids``."""
    rows = connection.execute(
        f"SELECT {', '.join(FIELDS_12)} FROM read_parquet($archived) "  # noqa: S608
        "WHERE GCXH IN (SELECT unnest($ids))",
        {"archived": list(archived), "ids": list(ids)},
    ).fetchall()
    return {row[0]: tuple(row) for row in rows}


class DayFile:
    """A file of the archive while it is written; rows are ``COLUMNS`` with times as text.

    ``close`` returns when the bytes are on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Takes rows; they are written in groups of about ``ROW_GROUP``."""
        self._waiting.append(_batch(rows))
        if sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Ends the file; without rows there is none."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            _sync(self._path)

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting, SCHEMA)
        self._writer = self._writer or pq.ParquetWriter(self._path, SCHEMA, compression="zstd")
        self._writer.write_table(table)
        self.rows += table.num_rows
        self._waiting = []


def publish(draft: Path, folder: Path, nodes: Iterable[str]) -> dict[str, int]:
    """Makes a draft visible: a new day by one rename, further files of a known day one by one.

    A kill between two of them leaves files without their count; the next archiving knows their ids and counts
    anew.

    Returns:
        rows in the archive, by node.
    """
    counts = {
        node: sum(
            pq.read_metadata(path).num_rows
            for place in (folder, draft)
            for path in place.glob(f"{node}-*.parquet")
        )
        for node in nodes
    }
    (draft / COUNTS_FILE).write_text(json.dumps(counts), encoding="ascii")
    _sync(draft / COUNTS_FILE)
    if folder.exists():
        for path in sorted(draft.iterdir(), key=lambda one: one.name == COUNTS_FILE):
            path.replace(folder / path.name)
        _sync(folder)
    else:
        _sync(draft)
        draft.rename(folder)
    _sync(folder.parent)
    return counts


def keep_conflicts(folder: Path, records: Iterable[dict[str, Any]]) -> None:
    """Adds records to ``_CONFLICTS.jsonl``; one that is added again after a kill has the same place."""
    with (folder / CONFLICTS_FILE).open("a", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _batch(rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = [
        pa.array(values).cast(field.type) if field.name == "GCSJ" else pa.array(values, field.type)
        for values, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
