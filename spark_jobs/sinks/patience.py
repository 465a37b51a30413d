"""How long a store that is away is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import kafka.errors
import pymysql
import redis
import structlog
import tenacity

from kakou.errors import SchemaError, StorageError
from kakou.settings import Settings

_LOG = structlog.get_logger("kakou.stream")
Answer = TypeVar("Answer")
# What a store may do to us. A record is never at fault: data errors were sorted out before a store is asked.
AWAY: Final = (pymysql.MySQLError, redis.RedisError, kafka.errors.KafkaError, StorageError, OSError)
# Set when the process is asked to stop: nobody then waits any longer.
STOPPING: Final = threading.Event()


def patiently(settings: Settings, what: str, action: Callable[[], Answer]) -> Answer:
    """Runs ``action`` until it succeeds, with growing pauses, for at most ``settings.retry_cap_seconds``.

    Raises:
        StorageError: the cap is reached. The job then stops, and the supervisor starts it again.
    """
    retrying = tenacity.Retrying(
        # A schema that is not ours does not become so by waiting.
        retry=tenacity.retry_if_exception_type(AWAY) & tenacity.retry_if_not_exception_type(SchemaError),
        wait=tenacity.wait_exponential(multiplier=0.25, max=15),
        stop=tenacity.stop_any(
            tenacity.stop_after_delay(settings.retry_cap_seconds), tenacity.stop_when_event_set(STOPPING)
        ),
        sleep=tenacity.sleep_using_event(STOPPING),
        before_sleep=lambda state: _LOG.warning(
            "store_away", what=what, tries=state.attempt_number, why=_why(state)
        ),
    )
    try:
        return retrying(action)
    except tenacity.RetryError as error:
        raise StorageError(
            f"{what} failed for {settings.retry_cap_seconds} s ({_why(error.last_attempt)}). "
            "Look at `kakou status`; the stream starts again by itself."
        ) from error


class Later:
    """For Redis, which is told and never asked: what it cannot be told now it is told later.

    After a failure nothing is tried for ``PAUSE_S``, so that a store that hangs does not hold up every batch.
    """

    PAUSE_S: Final = 5.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._not_before = 0.0

    def __call__(self, action: Callable[[], object]) -> bool:
        """Runs ``action``; returns False if Redis is away or was a moment ago."""
        if time.monotonic() < self._not_before:
            return False
        try:
            action()
        except redis.RedisError as error:
            self._not_before = time.monotonic() + self.PAUSE_S
            _LOG.warning("redis_away", what=self._what, why=f"{type(error).__name__}: {error}"[:200])
            return False
        return True


def _why(state: tenacity.RetryCallState | tenacity.Future) -> str:
    attempt = state if isinstance(state, tenacity.Future) else state.outcome
    error = attempt.exception() if attempt else None
    return f"{type(error).__name__}: {error}"[:200]
