"""Route ``endpoint``: everything through 8066, by statements that may be repeated.

The endpoint cannot promise one transaction over two nodes, so no step relies on one: a row is inserted
unless it is there, the roll-up of a touched hour is counted anew, and the batch is written down last, at the
first node, because ``batch_ledger`` is no table of the endpoint.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl
import pymysql

from kakou.connections import connect, node_names
from kakou.settings import Settings
from spark_jobs.sinks.nodes import ADD_BATCH, Batch, add_duplicates
from spark_jobs.sinks.rows import FLOW_KEY, ROW_COLUMNS, flow_of, stored_under
from spark_jobs.sinks.sorting import Sorted

_ANSWER_S: Final = 120
_INSERT: Final = (
    f"INSERT INTO traffic_data ({', '.join(ROW_COLUMNS)}) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join(['%s'] * len(ROW_COLUMNS))}) ON DUPLICATE KEY UPDATE batch_id = batch_id"
)
_SET_FLOW: Final = (
    f"INSERT INTO flow_hourly ({', '.join(FLOW_KEY)}, n) "  # noqa: S608
    "VALUES (%s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE n = VALUES(n)"
)


class Endpoint:
    """The 8066 endpoint as a sink.

    Flush contract: ``write`` returns when all rows are visible through the endpoint. Called again with the
    same batch, it changes nothing that the first call did.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first = node_names(settings)[0]

    def has(self, batch: Batch) -> bool:
        """True if the batch is written down."""
        connection = self._connect(self._first)
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM batch_ledger WHERE query = %s AND batch_id = %s", (batch.query, batch.number)
            )
            return cursor.fetchone() is not None

    def stored_under(self, ids: list[str]) -> pl.DataFrame:
        """Rows under ``ids`` on any node, as the endpoint shows them."""
        connection = self._connect("endpoint")
        with connection, connection.cursor() as cursor:
            return stored_under(cursor, ids)

    def write(self, batch: Batch, parts: Sorted, rejected: int) -> None:
        """Writes a batch.

        Raises:
            pymysql.MySQLError: the endpoint or a node is away; a part may be written.
        """
        rows = parts.fresh.with_columns(pl.lit(batch.number).alias("batch_id"))
        connection = self._connect("endpoint", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows.select(ROW_COLUMNS.values()).rows())
            _count_hours(cursor, pl.concat([parts.fresh, parts.own]))
        connection = self._connect(self._first)
        with connection, connection.cursor() as cursor:
            repeated = add_duplicates(cursor, batch, parts.duplicates)
            # What an earlier try of this batch inserted was not written down yet.
            counts = (len(parts.fresh) + len(parts.own), repeated, rejected)
            cursor.execute(ADD_BATCH, (batch.query, batch.number, *batch.offsets, *counts))
            connection.commit()

    def close(self) -> None:
        """Nothing is held open."""

    def _connect(self, server: str, **options: Any) -> pymysql.Connection[Any]:
        return connect(
            self._settings,
            server,
            "kakou_writer",
            read_timeout=_ANSWER_S,
            write_timeout=_ANSWER_S,
            **options,
        )


def _count_hours(cursor: Any, fresh: pl.DataFrame) -> None:
    """Counts each touched hour from its rows: the same answer however often the batch is written."""
    hours = flow_of(fresh).select("kkmc", "day", "hour").unique().sort("kkmc", "day", "hour").rows()
    for kkmc, day, hour in hours:
        start, end = f"{day} {hour:02d}:00:00", f"{day} {hour:02d}:59:59"
        cursor.execute(
            "SELECT kkmc, %s, %s, province, vehicle_type_name, COUNT(*) FROM traffic_data "
            "WHERE kkmc = %s AND gcsj BETWEEN %s AND %s GROUP BY kkmc, province, vehicle_type_name",
            (day, hour, kkmc, start, end),
        )
        cursor.executemany(_SET_FLOW, cursor.fetchall())
