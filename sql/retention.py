"""Edge: lets the nodes forget days that are archived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pymysql

from kakou.connections import node_names
from kakou.errors import StorageError
from kakou.fields import FIELDS_12
from kakou.settings import Settings
from kakou.whole_files import scratch_folder
from sql.archive import hold_archive, today
from sql.archive_files import (
    COLUMNS,
    day_folder,
    engine,
    files_of,
    is_archived,
    keep_conflicts,
    lists_of,
    payloads,
    write_archived,
)
from sql.closed_days import close_day, set_flow
from sql.migrate import demand_newest
from sql.node_days import count_by_hour, days_stored, open_node, rows_under, write_keys

CHUNK_ROWS: Final = 2_000
_DELETE: Final = "DELETE t FROM traffic_data t FORCE INDEX (PRIMARY) WHERE t.id IN %s"
_REPEATED: Final = (
    "INSERT IGNORE INTO duplicate_records (kafka_partition, kafka_offset, id, batch_id, reason) "
    "VALUES (%s, %s, %s, %s, %s)"
)


def delete_old(settings: Settings, keep_days: int) -> dict[date, int]:
    """Deletes passes of every day that ended more than ``keep_days`` days ago, if that day is archived.

    The day is closed first, on every node, and its roll-up set from the archive. Then only rows whose id is
    in the archive are deleted, some thousand by their primary key, each time committed: nobody who inserts
    waits, a row that came after the archiving is never lost, and an interrupted run is simply run again.

    Returns:
        rows deleted, by day.

    Raises:
        StorageError: a day is not archived, or has rows that are not (the other days were deleted), or a
            node is away or its schema differs.
    """
    demand_newest(settings)
    deleted: dict[date, int] = {}
    refused: list[str] = []
    try:
        for day in days_stored(settings, today(settings) - timedelta(days=keep_days)):
            if not is_archived(settings, day):
                refused.append(f"{day} is not archived")
                continue
            deleted[day] = _delete_day(settings, day)
            left = sum(_left(settings, node, day) for node in node_names(settings))
            if left:
                refused.append(f"{left} late rows of {day} are not archived")
    except pymysql.MySQLError as error:
        raise StorageError(
            f"Old passes could not be deleted: {error.args[-1]}. See `kakou status`."
        ) from error
    if refused:
        raise StorageError(
            f"Kept: {'; '.join(refused)}. Run the DAG archive_day for these days, then this again."
        )
    return deleted


def _delete_day(settings: Settings, day: date) -> int:
    with (
        hold_archive(settings),
        scratch_folder(settings.history_dir, f"forget-{day}") as scratch,
        engine(scratch) as join,
    ):
        close_day(settings, day)
        set_flow(settings, day)
        archive = _Archive(day_folder(settings, day), join)
        return sum(_delete_on(settings, node, day, scratch, archive) for node in node_names(settings))


@dataclass(frozen=True)
class _Archive:
    """An archived day, and what looks into it."""

    folder: Path
    join: duckdb.DuckDBPyConnection

    @property
    def files(self) -> list[str]:
        return files_of(self.folder)


def _delete_on(settings: Settings, node: str, day: date, scratch: Path, archive: _Archive) -> int:
    """Deletes the archived rows of a day on one node."""
    keys, known = scratch / f"keys-{node}.parquet", scratch / f"known-{node}.parquet"
    gone = 0
    server = open_node(settings, node, "kakou_writer")
    with server, server.cursor() as cursor:
        write_keys(cursor, day, keys)
        if archive.files and write_archived(archive.join, keys, archive.files, known):
            for chunk in lists_of(known, ["GCXH", "KAFKA_PARTITION", "KAFKA_OFFSET"], CHUNK_ROWS):
                server.begin()
                gone += _delete_chunk(cursor, {id: place for id, *place in chunk}, archive)
                server.commit()
    return gone


def _delete_chunk(cursor: Any, archived: dict[str, list[Any]], archive: _Archive) -> int:
    """Deletes the rows under some archived ids, in the caller's transaction.

    Only what it has seen: a row that comes under such an id a moment later stays for the next run, as its
    place must be written down first.
    """
    found = rows_under(cursor, "id, kafka_partition, kafka_offset", list(archived))
    moved = [id for id, *place in found if place != archived[id] and None not in place]
    if moved:
        _write_down(cursor, moved, archive)
    if not found:
        return 0
    return int(cursor.execute(_DELETE, ([row[0] for row in found],)))


def _write_down(cursor: Any, ids: list[str], archive: _Archive) -> None:
    """Notes the fate of records that came again after their day was archived; a conflicting one is kept."""
    before = payloads(archive.join, archive.files, ids)
    width = len(FIELDS_12)
    fates, conflicts = [], []
    for row in rows_under(cursor, COLUMNS, ids):
        same = tuple(map(str, row[:width])) == tuple(map(str, before[row[0]]))
        partition, offset, batch = row[width:]
        fates.append((partition, offset, row[0], batch or 0, "duplicate" if same else "id_conflict"))
        if not same:
            place = {"KAFKA_PARTITION": partition, "KAFKA_OFFSET": offset}
            conflicts.append(dict(zip(FIELDS_12, row, strict=False)) | place)
    if conflicts:
        keep_conflicts(archive.folder, conflicts)
    cursor.executemany(_REPEATED, fates)


def _left(settings: Settings, node: str, day: date) -> int:
    server = open_node(settings, node, "kakou_reader")
    with server, server.cursor() as cursor:
        return sum(count_by_hour(cursor, day))
