"""Route ``endpoint``: everything through 8066, by statements that may be repeated.

The endpoint cannot promise one transaction over two nodes, so no step relies on one: a row is inserted
unless it is there, the roll-up of a touched hour is counted anew, and the batch is written down last, at the
first node, because the tables of fates are no tables of the endpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import polars as pl
import pymysql

from kakou.connections import connect, node_names
from kakou.settings import Settings
from spark_jobs.sinks.fates import Batch, add_batch, add_duplicates, add_rejected, is_written, open_flow
from spark_jobs.sinks.rows import FLOW_KEY, ROW_COLUMNS, flow_of, stored_under, wanted
from spark_jobs.sinks.sorting import Sorted
from sql.endpoint import is_mycat

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

    Flush contract: ``add`` returns when its rows are visible through the endpoint, ``commit`` when the batch
    is written down. A batch that comes again changes nothing that its first coming did.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._first = node_names(settings)[0]

    @contextmanager
    def begin(self, batch: Batch) -> Iterator[EndpointBatch]:
        """Connects to the endpoint and to the first node.

        Raises:
            pymysql.MySQLError: one of them is away.
        """
        with self._connect("endpoint", autocommit=True) as endpoint, self._connect(self._first) as first:
            if not is_mycat(endpoint):
                # Spider then sends a statement that says what to do with a row that is there to the node
                # whole; row by row it takes three times as long.
                with endpoint.cursor() as cursor:
                    cursor.execute("SET SESSION spider_direct_dup_insert = 1")
            yield EndpointBatch(batch, endpoint, first)

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


class EndpointBatch:
    """A batch on its way through the endpoint; see ``Endpoint``."""

    def __init__(
        self, batch: Batch, endpoint: pymysql.Connection[Any], first: pymysql.Connection[Any]
    ) -> None:
        self._batch = batch
        self._endpoint = endpoint
        self._first = first
        self._stored = self._duplicates = self._rejected = 0
        with first.cursor() as cursor:
            self.done = is_written(cursor, batch)

    def stored_under(self, ids: list[str]) -> pl.DataFrame:
        """Rows under ``ids`` on any node, as the endpoint shows them."""
        with self._endpoint.cursor() as cursor:
            return stored_under(cursor, wanted(ids))

    def add(self, parts: Sorted, rejected: pl.DataFrame) -> None:
        """Writes a slice of the batch; fates go into the first node's transaction.

        Raises:
            pymysql.MySQLError: the endpoint or a node is away; a part may be written.
        """
        rows = parts.fresh.with_columns(pl.lit(self._batch.number).alias("batch_id"))
        # What an earlier try of this batch inserted was not written down yet.
        every = pl.concat([parts.fresh, parts.own])
        with self._endpoint.cursor() as endpoint, self._first.cursor() as first:
            endpoint.executemany(_INSERT, rows.select(ROW_COLUMNS.values()).rows())
            _count_hours(endpoint, open_flow(first, flow_of(every)))
            self._duplicates += add_duplicates(first, self._batch, parts.duplicates)
            add_rejected(first, self._batch, rejected)
        self._stored += len(every)
        self._rejected += len(rejected)

    def commit(self) -> None:
        """Writes the batch down.

        Raises:
            pymysql.MySQLError: the first node is away.
        """
        with self._first.cursor() as cursor:
            add_batch(cursor, self._batch, self._stored, self._duplicates, self._rejected)
        self._first.commit()


def _count_hours(cursor: Any, flow: pl.DataFrame) -> None:
    """Counts each touched hour from its rows: the same answer however often the batch is written."""
    hours = flow.select("kkmc", "day", "hour").unique().sort("kkmc", "day", "hour").rows()
    for kkmc, day, hour in hours:
        start, end = f"{day} {hour:02d}:00:00", f"{day} {hour:02d}:59:59"
        cursor.execute(
            "SELECT kkmc, %s, %s, province, vehicle_type_name, COUNT(*) FROM traffic_data "
            "WHERE kkmc = %s AND gcsj BETWEEN %s AND %s GROUP BY kkmc, province, vehicle_type_name",
            (day, hour, kkmc, start, end),
        )
        cursor.executemany(_SET_FLOW, cursor.fetchall())
