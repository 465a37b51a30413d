"""Whether each store that the API needs answers, asked at once and answered within five seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
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
        self._settings = settings
        self._client = client
        self._pool = ThreadPoolExecutor(2 * (2 + len(node_names(settings))), thread_name_prefix="ready")

    def check(self) -> dict[str, str]:
        """``ok`` or a short reason for each store."""
        asked: dict[str, Future[object]] = {
            name: self._pool.submit(question) for name, question in self._questions().items()
        }
        wait(asked.values(), timeout=GIVE_UP_SECONDS)
        return {name: _said(future) for name, future in asked.items()}

    def _questions(self) -> dict[str, Callable[[], object]]:
        """Put together anew each time: a re-shard adds a node under a running API."""
        nodes: dict[str, Callable[[], object]] = {
            node: partial(_ask, self._settings, node, "SELECT 1") for node in node_names(self._settings)
        }
        endpoint = partial(_ask, self._settings, "endpoint", "SELECT kkmc FROM kkmc_info LIMIT 1")
        return {"endpoint": endpoint, "redis": self._client.ping, **nodes}

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
