"""A store that is away is waited for, but not for ever, and not when we are asked to stop."""

from __future__ import annotations

import threading
import time

import pymysql
import pytest

from kakou.errors import BadInputError, SchemaError, StorageError
from kakou.settings import Settings
from spark_jobs.sinks import patience


class Away:
    """Fails so many times, then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error = times, error

    def __call__(self) -> str:
        if self.left:
            self.left -= 1
            raise self.error
        return "here"


AWAY = pymysql.OperationalError(2003, "no route")


def capped(settings: Settings, seconds: int) -> Settings:
    return settings.model_copy(update={"retry_cap_seconds": seconds})


def test_it_is_waited_for(settings: Settings) -> None:
    assert patience.patiently(capped(settings, 30), "Storing", Away(2, AWAY)) == "here"


def test_another_schema_is_not_waited_for(settings: Settings) -> None:
    began = time.monotonic()
    with pytest.raises(SchemaError):
        patience.patiently(capped(settings, 30), "Comparing", Away(1, SchemaError("dn1 is older")))
    assert time.monotonic() - began < 5


def test_the_cap_ends_it_in_clear_words(settings: Settings) -> None:
    with pytest.raises(StorageError, match=r"Storing failed for 0 s \(OperationalError.*no route"):
        patience.patiently(capped(settings, 0), "Storing", Away(99, AWAY))


def test_an_error_of_ours_is_not_repeated(settings: Settings) -> None:
    action = Away(1, BadInputError("mend it"))
    with pytest.raises(BadInputError):
        patience.patiently(capped(settings, 30), "Storing", action)
    assert action.left == 0


def test_being_asked_to_stop_ends_it(settings: Settings) -> None:
    timer = threading.Timer(0.5, patience.STOPPING.set)
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(StorageError):
            patience.patiently(capped(settings, 60), "Storing", Away(999, AWAY))
        assert time.monotonic() - began < 20
    finally:
        timer.cancel()
        patience.STOPPING.clear()
