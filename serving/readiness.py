"""Whether each store that the API needs answers, asked at once and answered within five seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

import pymysql
import redis

from kakou.connections import connect, node_names
from kakou.settings import Settings

ASK_SECONDS: Final = 2
GIVE_UP_SECONDS: Final = 4.0
OK: Final = "ok"


class Readiness:
    """Asks the endpoint (through to a table), each node and Redis."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self._questions: dict[str, Callable[[], object]] = {
            "endpoint": lambda: _ask(settings, "endpoint", "SELECT kkmc FROM kkmc_info LIMIT 1"),
            "redis": client.ping,
        }
        for node in node_names(settings):
            self._questions[node] = lambda node=node: _ask(settings, node, "SELECT 1")  # type: ignore[misc]
        self._pool = ThreadPoolExecutor(len(self._questions) * 2, thread_name_prefix="ready")

    def check(self) -> dict[str, str]:
        """``ok`` or a short reason for each store."""
        asked: dict[str, Future[object]] = {
            name: self._pool.submit(question) for name, question in self._questions.items()
        }
        wait(asked.values(), timeout=GIVE_UP_SECONDS)
        return {name: _said(future) for name, future in asked.items()}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _ask(settings: Settings, server: str, statement: str) -> None:
    with (
        connect(
            settings, server, "kakou_reader", connect_timeout=ASK_SECONDS, read_timeout=ASK_SECONDS
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def _said(future: Future[object]) -> str:
    """In words that name no address and no account: this is open to everybody who reaches the port."""
    if not future.done():
        return "no answer in time"
    error = future.exception()
    if error is None:
        return OK
    if isinstance(error, pymysql.MySQLError) and error.args and error.args[0] in (1049, 1146):
        return "not set up yet"
    return "does not answer"
