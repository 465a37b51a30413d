"""Edge: copies closed days of ``traffic_data`` to Parquet, so that the nodes may forget them.

What the files hold, ``sql.archive_files`` says. A day is a folder that appears whole. Rows that arrive after
their day was archived become a further file at the next call; no id is written twice, whatever node it is on.
The roll-up of a day that the nodes have forgotten is set from the archive each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import pymysql

from kakou.connections import node_names
from kakou.disk_room import disk_full, says_disk_full
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.whole_files import scratch_folder
from sql.archive_files import (
    COLUMNS,
    DayFile,
    day_folder,
    engine,
    files_of,
    lists_of,
    publish,
    write_missing,
)
from sql.closed_days import is_closed, set_flow
from sql.migrate import demand_newest, take_lock
from sql.node_days import count_by_hour, days_stored, open_node, rows_under, write_keys

LOCK: Final = "kakou_archive"
ROWS_AT_ONCE: Final = 2_000


def today(settings: Settings) -> date:
    """The current day in the platform's zone, whatever the machine's."""
    return datetime.now(ZoneInfo(settings.timezone)).date()


def archive_day(settings: Settings, day: date) -> dict[str, int]:
    """Archives what the nodes hold of ``day``; safe to call again, by two processes at once, and beside the
    stream: rows that come meanwhile are taken now or by the next call.

    Returns:
        rows in the archive, by node.

    Raises:
        BadInputError: the day is not over yet.
        StorageError: a node is away or its schema differs, or the counts do not agree; the archive is as it
            was before.
        DiskFullError: no room is left; the archive is as it was before.
    """
    if day >= today(settings):
        raise BadInputError(f"{day} is not over, so it cannot be archived yet. Name an earlier day.")
    demand_newest(settings)
    try:
        with (
            hold_archive(settings) as demand_hold,
            scratch_folder(settings.history_dir, day.isoformat()) as scratch,
        ):
            draft = scratch / "day"
            draft.mkdir()
            with engine(scratch) as join:
                for node in node_names(settings):
                    _write_node(settings, node, day, scratch, join)
            demand_hold()
            counts = publish(draft, day_folder(settings, day), node_names(settings))
            if is_closed(settings, day):
                set_flow(settings, day)
            return counts
    except pymysql.MySQLError as error:
        if says_disk_full(str(error)):
            raise disk_full(settings.data_dir) from error
        raise StorageError(f"{day} could not be archived: {error.args[-1]}. See `kakou status`.") from error


def archive_closed_days(settings: Settings) -> list[date]:
    """Archives every day before today that a node holds rows of, so that a missed night is made up for.

    Raises:
        StorageError: some days could not be archived, and why; the others were.
    """
    try:
        days = days_stored(settings, today(settings))
    except pymysql.MySQLError as error:
        raise StorageError(f"A node does not answer: {error.args[-1]}. See `kakou status`.") from error
    refused = []
    for day in days:
        try:
            archive_day(settings, day)
        except StorageError as error:
            refused.append(str(error))
    if refused:
        raise StorageError(" ".join(refused))
    return days


@contextmanager
def hold_archive(settings: Settings) -> Iterator[Callable[[], None]]:
    """Keeps everybody else from changing the archive or what rests on it: archiving, retention.

    Yields:
        raises ``StorageError`` if the hold was lost meanwhile, as when the first node was restarted.

    Raises:
        StorageError: somebody else held it for longer than a minute.
    """
    keeper = open_node(settings, node_names(settings)[0], "kakou_reader")
    with keeper, keeper.cursor() as cursor:
        take_lock(cursor, LOCK, "another archiving")

        def demand() -> None:
            cursor.execute("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", (LOCK,))
            if not cursor.fetchone()[0]:
                raise StorageError("The archive is no longer ours alone. Archive the day again.")

        yield demand


def _write_node(
    settings: Settings, node: str, day: date, scratch: Path, join: duckdb.DuckDBPyConnection
) -> None:
    """Writes those rows of one node that neither the archive nor the draft holds yet."""
    keys, missing = scratch / f"keys-{node}.parquet", scratch / f"missing-{node}.parquet"
    folder, draft = day_folder(settings, day), scratch / "day"
    server = open_node(settings, node, "kakou_reader")
    with server, server.cursor() as cursor:
        before = count_by_hour(cursor, day)
        read = write_keys(cursor, day, keys)
        after = count_by_hour(cursor, day)
        _demand_counts(node, day, before, read, after)
        expected = write_missing(join, keys, files_of(folder) + files_of(draft), missing)
        number = len(list(folder.glob(f"{node}-*.parquet")))
        written = _copy(cursor, missing, draft / f"{node}-{number:04d}.parquet")
    if written != expected:
        raise StorageError(
            f"{node} has {expected} rows of {day} to archive, but {written} were read. Archive the day again."
        )


def _demand_counts(node: str, day: date, before: list[int], read: list[int], after: list[int]) -> None:
    """Rows only come while a day is read: by hour, as many as before were read, and no more than now."""
    for hour, (least, number, most) in enumerate(zip(before, read, after, strict=True)):
        if not least <= number <= most:
            raise StorageError(
                f"{node} counts {least} to {most} rows of {day} in hour {hour}, but {number} were read. "
                "Archive the day again."
            )


def _copy(cursor: Any, missing: Path, path: Path) -> int:
    """Writes the rows whose keys ``missing`` lists to a file of the archive; returns how many there were."""
    file = DayFile(path)
    for keys in lists_of(missing, ["GCXH"], ROWS_AT_ONCE):
        rows = {row[0]: row for row in rows_under(cursor, COLUMNS, [id for (id,) in keys])}
        if rows:
            file.add([rows[id] for (id,) in keys if id in rows])
    file.close()
    return file.rows
