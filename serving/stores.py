"""The two stores that the API reads, and what their failures mean to a caller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    TableClause,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, ProgrammingError, TimeoutError

from kakou.connections import database_url, redis_client
from kakou.settings import Settings
from serving.problems import QueryTooSlowError, StoreDownError

POOL_SIZE: Final = 20
POOL_OVERFLOW: Final = 30
POOL_WAIT_SECONDS: Final = 5
CONNECT_SECONDS: Final = 3
STATEMENT_SECONDS: Final = 25
ANSWER_SECONDS: Final = 30  # of the API as a whole; the socket gives up just after the statement did
# Key under which a connection remembers that its endpoint can let the nodes count.
_ADDS_UP: Final = "adds_up"
# MariaDB's and MySQL's words for "the statement ran too long".
_TOO_SLOW: Final = frozenset({1969, 3024})
# Schema or table missing: the stack is still being set up.
_NOT_SET_UP: Final = frozenset({1049, 1146})


class Endpoint:
    """The 8066 endpoint as ``kakou_reader``: pooled, read only, every statement bounded in time."""

    def __init__(self, settings: Settings) -> None:
        self._engine: Engine = create_engine(
            database_url(settings, "endpoint", "kakou_reader"),
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_timeout=POOL_WAIT_SECONDS,
            pool_pre_ping=True,
            pool_recycle=1800,
            # Single reads need no transaction, and one over both shards would promise nothing.
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": ANSWER_SECONDS,
                "write_timeout": ANSWER_SECONDS,
            },
        )
        event.listen(self._engine, "connect", _prepare)

    def rows(self, statement: Executable) -> Sequence[Any]:
        """Runs a read and answers all its rows.

        Raises:
            StoreDownError: the endpoint or a node behind it is away, or not set up yet.
            QueryTooSlowError: the statement took longer than ``STATEMENT_SECONDS``.
        """
        with self._connection() as connection:
            return connection.execute(statement).all()

    def ask(self, statement: str, values: Sequence[object] = (), /) -> Sequence[Any]:
        """The same in the driver's own words, as ``kakou.detection.warning_tables.Ask``.

        Raises:
            StoreDownError, QueryTooSlowError: as ``rows``.
        """
        with self._connection() as connection:
            return connection.exec_driver_sql(statement, tuple(values)).all()

    def scalar(self, statement: Executable) -> Any:
        """The first column of the first row, None where there is no row."""
        rows = self.rows(statement)
        return rows[0][0] if rows else None

    def count(self, rows_of: TableClause, *wanted: ColumnElement[bool]) -> int:
        """Number of rows that meet all conditions, each of which is about one column.

        Spider can let the nodes count, which is several times faster. It then checks the condition once more
        against the smallest value of each column, which holds for single columns and silently loses rows for
        an OR over two; grouped results it can lose whatever the condition. So it is used for this alone.
        """
        statement = select(func.count()).select_from(rows_of).where(*wanted)
        with self._connection() as connection:
            adds_up = connection.info.get(_ADDS_UP)
            if not adds_up:
                return int(connection.execute(statement).scalar_one())
            connection.execute(text("SET SESSION spider_direct_aggregate = 1"))
            try:
                return int(connection.execute(statement).scalar_one())
            finally:
                connection.execute(text("SET SESSION spider_direct_aggregate = 0"))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except TimeoutError as error:
            raise StoreDownError(
                "All connections to the database are busy. Try again in a moment.", store="endpoint"
            ) from error
        except DBAPIError as error:
            raise _refusal(error) from error

    def close(self) -> None:
        self._engine.dispose()


def open_redis(settings: Settings) -> redis.Redis:
    """Redis that fails fast: one more try, no waiting; a screen asks again in two seconds anyway."""
    client = redis_client(settings)
    client.set_retry(Retry(NoBackoff(), 1))
    return client


def _prepare(connection: Any, record: Any) -> None:
    """Settings of a new connection. An endpoint that does not know one of them is left as it is."""
    record.info[_ADDS_UP] = _try(connection, "SET SESSION spider_direct_aggregate = 0")
    # MariaDB counts in seconds, MySQL in milliseconds; MyCat knows neither and keeps the socket's timeout.
    if not _try(connection, f"SET SESSION max_statement_time = {STATEMENT_SECONDS}"):
        _try(connection, f"SET SESSION max_execution_time = {STATEMENT_SECONDS * 1000}")


def _try(connection: Any, statement: str) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except pymysql.MySQLError:
        return False
    return True


def _refusal(error: DBAPIError) -> Exception:
    """What a failure of the driver means; an error in our own SQL stays what it is."""
    cause = error.orig
    code = cause.args[0] if cause is not None and cause.args else None
    if code in _TOO_SLOW:
        return QueryTooSlowError("The search took too long. Narrow it by time, gate or plate.")
    if isinstance(error, ProgrammingError) and code not in _NOT_SET_UP:
        return error
    return StoreDownError(
        "The database does not answer. Try again; `kakou status` shows which part is away.", store="endpoint"
    )
