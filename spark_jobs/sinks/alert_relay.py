"""From table ``warnings`` to the list in Redis, also when Redis was away, full or has lost everything."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

import pymysql
import structlog

from kakou.settings import Settings
from spark_jobs.sinks.alerts import AlertList, AlertTable
from spark_jobs.sinks.patience import Later

_LOG = structlog.get_logger("kakou.stream")
# A Redis that started empty is filled again within this time.
LOOK_S: Final = 5.0


class AlertRelay:
    """Pushes warnings, and makes good what could not be pushed.

    The table is written first and is the truth, so passes and verdicts never wait for Redis. Whatever the
    list missed comes from the table; an alert that was pushed before is not pushed again.
    """

    def __init__(self, settings: Settings, table: AlertTable) -> None:
        self._table = table
        self._list = AlertList(settings)
        self._later = Later("warnings")
        self._owing = False
        self._looked = 0.0
        self._turn = threading.Lock()  # a batch pushes in one thread, ``tend`` is called in another

    def push(self, held: Sequence[str]) -> None:
        """Pushes alerts given as JSON, oldest first, now or when Redis is back."""
        with self._turn:
            if self._owing or not self._later(lambda: self._list.push(held)):
                self._owing = self._owing or bool(held)

    def tend(self) -> None:
        """Pushes what is owed, and fills the list of a Redis that lost everything; most calls do nothing."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        with self._turn:
            try:
                if self._later(self._make_good):
                    self._owing = False
            except pymysql.MySQLError as error:
                _LOG.warning("warnings_not_read", why=f"{type(error).__name__}: {error}"[:200])

    def close(self) -> None:
        """Lets go of connections."""
        self._list.close()

    def _make_good(self) -> None:
        if self._owing or not self._list.is_filled():
            pushed = self._list.refill(self._table)
            if pushed:
                _LOG.info("warnings_relayed", pushed=pushed)
