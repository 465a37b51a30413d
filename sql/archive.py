"""Edge: copies closed days of ``traffic_data`` to Parquet, so that the nodes may forget them.

``<var>/history/day=YYYY-MM-DD/`` holds ``<node>-<n>.parquet`` and ``_COUNTS.json`` (rows by node). The files
hold the 12 fields under their names in files, then KAFKA_PARTITION, KAFKA_OFFSET and BATCH_ID. A day is a
folder that appears whole. Rows that arrive after their day was archived become a further file at the next
call; no row is written twice.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
from pymysql.cursors import SSCursor

from kakou.connections import connect, node_names
from kakou.errors import BadInputError, DiskFullError, StorageError
from kakou.fields import FIELDS_12
from kakou.settings import Settings
from sql.migrate import take_lock

LOCK: Final = "kakou_archive"
BATCH_ROWS: Final = 20_000
COUNTS_FILE: Final = "_COUNTS.json"
_TYPES: Final = {"GCSJ": pa.timestamp("s"), "IS_WEEKEND": pa.int8(), "IS_PEAK_HOUR": pa.int8()}
SCHEMA: Final = pa.schema(
    [
        *((name, _TYPES.get(name, pa.string())) for name in FIELDS_12),
        ("KAFKA_PARTITION", pa.int32()),
        ("KAFKA_OFFSET", pa.int64()),
        ("BATCH_ID", pa.int64()),
    ]
)
_COLUMNS: Final = ", ".join("id" if name == "GCXH" else name.lower() for name in SCHEMA.names)


def day_folder(settings: Settings, day: date) -> Path:
    """Where ``day`` is archived."""
    return settings.history_dir / f"day={day.isoformat()}"


def is_archived(settings: Settings, day: date) -> bool:
    """Whether ``day`` has a whole archive."""
    return (day_folder(settings, day) / COUNTS_FILE).is_file()


def today(settings: Settings) -> date:
    """The current day in the platform's zone, whatever the machine's."""
    return datetime.now(ZoneInfo(settings.timezone)).date()


def archive_day(settings: Settings, day: date) -> dict[str, int]:
    """Archives what the nodes hold of ``day``; safe to call again, and by two processes at once.

    Returns:
        rows in the archive, by node.

    Raises:
        BadInputError: the day is not over yet.
        StorageError: a node is away, or the counts do not agree; the archive is as it was before.
        DiskFullError: no room is left; the archive is as it was before.
    """
    if day >= today(settings):
        raise BadInputError(f"{day} is not over, so it cannot be archived yet. Name an earlier day.")
    nodes = node_names(settings)
    try:
        keeper = connect(settings, nodes[0], "kakou_reader")
        with keeper, keeper.cursor() as cursor:
            take_lock(cursor, LOCK, "another archiving")
            return _archive(settings, day, nodes)
    except pymysql.MySQLError as error:
        raise StorageError(f"{day} could not be archived: {error.args[-1]}. See `kakou status`.") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFullError(
            f"No room is left in {settings.history_dir}. Free some, then archive {day} again."
        ) from error


def archive_closed_days(settings: Settings) -> list[date]:
    """Archives every day before today that a node holds rows of, so that a missed night is made up for."""
    days = days_stored(settings, today(settings))
    for day in days:
        archive_day(settings, day)
    return days


def days_stored(settings: Settings, before: date) -> list[date]:
    """The days before ``before`` of which some node holds rows, oldest first."""
    days: set[date] = set()
    for node in node_names(settings):
        server = connect(settings, node, "kakou_reader")
        with server, server.cursor() as cursor:
            cursor.execute("SELECT DISTINCT DATE(gcsj) FROM traffic_data WHERE gcsj < %s", (before,))
            days.update(row[0] for row in cursor.fetchall())
    return sorted(days)


def archived_ids(settings: Settings, node: str, day: date) -> Iterator[list[str]]:
    """The pass ids of ``node`` in the archive of ``day``, in lists of at most ``BATCH_ROWS``."""
    for path in sorted(day_folder(settings, day).glob(f"{node}-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=["GCXH"]):
            yield batch.column(0).to_pylist()


def _archive(settings: Settings, day: date, nodes: tuple[str, ...]) -> dict[str, int]:
    """The work of ``archive_day``; the caller holds the lock, so the draft is ours."""
    draft = settings.history_dir / f".draft-{day.isoformat()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for node in nodes:
            _write_node(settings, node, day, draft)
        return _publish(draft, day_folder(settings, day), nodes)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_node(settings: Settings, node: str, day: date, draft: Path) -> None:
    """Writes those rows of one node that the archive lacks, read in one snapshot."""
    known = {one for ids in archived_ids(settings, node, day) for one in ids}
    span = (day, day + timedelta(days=1))
    server = connect(settings, node, "kakou_reader", cursorclass=SSCursor)
    with server, server.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SELECT COUNT(*) FROM traffic_data WHERE gcsj >= %s AND gcsj < %s", span)
        expected = cursor.fetchall()[0][0]
        cursor.execute(
            f"SELECT {_COLUMNS} FROM traffic_data WHERE gcsj >= %s AND gcsj < %s ORDER BY gcsj, id",  # noqa: S608
            span,
        )
        number = len(list(day_folder(settings, day).glob(f"{node}-*.parquet")))
        seen = _write_rows(cursor, draft / f"{node}-{number:04d}.parquet", known)
    if seen != expected:
        raise StorageError(
            f"{node} counts {expected} rows of {day}, but {seen} were read. Archive the day again."
        )


def _write_rows(cursor: Any, path: Path, known: set[str]) -> int:
    """Streams the cursor's rows into a file, without those in ``known``; returns how many the cursor gave."""
    seen = 0
    writer: pq.ParquetWriter | None = None
    while rows := cursor.fetchmany(BATCH_ROWS):
        seen += len(rows)
        fresh = [row for row in rows if row[0] not in known]
        if fresh:
            writer = writer or pq.ParquetWriter(path, SCHEMA, compression="zstd")
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*fresh, strict=True), SCHEMA, strict=True)
            ]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
    if writer is not None:
        writer.close()
        with path.open("rb") as written:
            os.fsync(written.fileno())
    return seen


def _publish(draft: Path, folder: Path, nodes: tuple[str, ...]) -> dict[str, int]:
    """Makes the draft visible: a new day by one rename, further files of a known day one by one."""
    counts = {
        node: sum(
            pq.read_metadata(path).num_rows
            for place in (folder, draft)
            for path in place.glob(f"{node}-*.parquet")
        )
        for node in nodes
    }
    (draft / COUNTS_FILE).write_text(json.dumps(counts), encoding="ascii")
    if folder.exists():
        for path in sorted(draft.iterdir(), key=lambda one: one.name == COUNTS_FILE):
            path.replace(folder / path.name)
    else:
        draft.rename(folder)
    return counts
