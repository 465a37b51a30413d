"""Edge: the passes that a node holds of a day, read in short statements.

None of them locks a row, and none keeps a snapshot open longer than a page takes: a day may be as large as it
likes, and the stream writes beside. Both keys come out of the index alone, since InnoDB keeps the id with
each entry of ``idx_gcsj``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions

from kakou.connections import Account, connect, node_names
from kakou.settings import Settings

PAGE_ROWS: Final = 20_000
ANSWER_SECONDS: Final = 120
KEYS: Final = pa.schema([("GCSJ", pa.timestamp("s")), ("GCXH", pa.string())])
# Times stay text: Arrow reads them in one go, the driver would make an object of each.
_CONVERSIONS: Final = {kind: how for kind, how in conversions.items() if kind != FIELD_TYPE.DATETIME}
_SPAN: Final = "gcsj >= %s AND gcsj < %s"
_FROM: Final = "FROM traffic_data FORCE INDEX (idx_gcsj) WHERE"


def open_node(settings: Settings, node: str, account: Account) -> pymysql.Connection[Any]:
    """A connection on which each statement is its own transaction, until somebody begins one.

    A DATETIME comes as text. READ COMMITTED, so that a DELETE locks the rows that it deletes and no gap
    between them: the stream inserts into the same pages.
    """
    server = connect(
        settings,
        node,
        account,
        autocommit=True,
        read_timeout=ANSWER_SECONDS,
        write_timeout=ANSWER_SECONDS,
        conv=_CONVERSIONS,
    )
    with server.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return server


def days_stored(settings: Settings, before: date) -> list[date]:
    """The days before ``before`` of which some node holds rows, oldest first; one look-up for each day."""
    days: set[date] = set()
    for node in node_names(settings):
        server = open_node(settings, node, "kakou_reader")
        with server, server.cursor() as cursor:
            day: date | None = _first_day(cursor, date.min)
            while day is not None and day < before:
                days.add(day)
                day = _first_day(cursor, _next(day))
    return sorted(days)


def count_by_hour(cursor: Any, day: date) -> list[int]:
    """Rows of each of the 24 hours of a day."""
    counts = []
    start = datetime.combine(day, time())
    for hour in range(24):
        span = (start + timedelta(hours=hour), start + timedelta(hours=hour + 1))
        cursor.execute(f"SELECT COUNT(*) {_FROM} {_SPAN}", span)
        counts.append(int(cursor.fetchone()[0]))
    return counts


def write_keys(cursor: Any, day: date, path: Path) -> list[int]:
    """Writes (time, id) of every row of a day to a Parquet file; returns how many there are by hour.

    Rows that come while it reads are in the file or are not; every row that was there before is.
    """
    hours = [0] * 24
    with pq.ParquetWriter(path, KEYS, compression="snappy") as writer:
        for page in _pages(cursor, day):
            times, ids = zip(*page, strict=True)
            for moment in times:
                hours[int(moment[11:13])] += 1
            writer.write_batch(
                pa.record_batch([pa.array(times).cast(KEYS[0].type), pa.array(ids)], schema=KEYS)
            )
    return hours


def rows_under(cursor: Any, columns: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """``columns`` of the rows under ``ids``, in no order; an id that is gone has no row."""
    if not ids:
        return []
    cursor.execute(
        f"SELECT {columns} FROM traffic_data FORCE INDEX (PRIMARY) WHERE id IN %s",  # noqa: S608
        (ids,),
    )
    return list(cursor.fetchall())


def _pages(cursor: Any, day: date) -> Iterator[list[tuple[str, str]]]:
    start, end = f"{day} 00:00:00", f"{_next(day)} 00:00:00"
    last = ""
    while True:
        # (time, id) > (start, last), written so that the index range begins at ``start``.
        cursor.execute(
            f"SELECT gcsj, id {_FROM} {_SPAN} AND (gcsj > %s OR id > %s) ORDER BY gcsj, id LIMIT %s",
            (start, end, start, last, PAGE_ROWS),
        )
        page: list[tuple[str, str]] = list(cursor.fetchall())
        if page:
            yield page
            start, last = page[-1]
        if len(page) < PAGE_ROWS:
            return


def _first_day(cursor: Any, start: date) -> date | None:
    """The first day from ``start`` on that has rows."""
    cursor.execute("SELECT MIN(gcsj) FROM traffic_data WHERE gcsj >= %s", (f"{start} 00:00:00",))
    (found,) = cursor.fetchone()
    return None if found is None else date.fromisoformat(found[:10])


def _next(day: date) -> date:
    return day + timedelta(days=1)
