"""Edge: lets the nodes forget days that are archived."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import pymysql

from kakou.connections import connect, node_names
from kakou.errors import StorageError
from kakou.settings import Settings
from sql.archive import archived_ids, days_stored, is_archived, today

CHUNK_ROWS: Final = 10_000


def delete_old(settings: Settings, keep_days: int) -> dict[date, int]:
    """Deletes passes of every day that ended more than ``keep_days`` days ago, if that day is archived.

    Only rows whose id is in the archive are deleted, 10,000 at a time, each time committed: a row that came
    after the archiving is never lost, and an interrupted run is simply run again.

    Returns:
        rows deleted, by day.

    Raises:
        StorageError: a day is not archived, or has rows that are not (the other days were deleted), or a
            node is away.
    """
    deleted: dict[date, int] = {}
    refused: list[str] = []
    try:
        for day in days_stored(settings, today(settings) - timedelta(days=keep_days)):
            if not is_archived(settings, day):
                refused.append(f"{day} is not archived")
                continue
            deleted[day] = sum(_delete_day(settings, node, day) for node in node_names(settings))
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


def _delete_day(settings: Settings, node: str, day: date) -> int:
    """Deletes the archived rows of a day on one node."""
    gone = 0
    server = connect(settings, node, "kakou_writer")
    with server, server.cursor() as cursor:
        for ids in archived_ids(settings, node, day):
            for start in range(0, len(ids), CHUNK_ROWS):
                gone += cursor.execute(
                    "DELETE FROM traffic_data WHERE id IN %s AND gcsj >= %s AND gcsj < %s",
                    (ids[start : start + CHUNK_ROWS], day, day + timedelta(days=1)),
                )
                server.commit()
    return gone


def _left(settings: Settings, node: str, day: date) -> int:
    server = connect(settings, node, "kakou_reader")
    with server, server.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM traffic_data WHERE gcsj >= %s AND gcsj < %s", (day, day + timedelta(days=1))
        )
        return int(cursor.fetchone()[0])
