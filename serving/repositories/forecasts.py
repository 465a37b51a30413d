"""Published forecasts, kept in memory: a prediction must answer within 50 ms."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import func, select

from serving.problems import StoreDownError
from serving.stores import Endpoint
from serving.tables import FLOW_FORECAST

_C = FLOW_FORECAST.c
CHECK_SECONDS: Final = 3.0  # how long a newly published forecast may stay unseen
STALE_SECONDS: Final = 30.0  # older than this is looked up before an answer is given
MAX_DAYS: Final = 4096


@dataclass(frozen=True, slots=True)
class HourForecast:
    """What the model expects of one hour."""

    predicted: float
    low: float
    high: float
    model_version: str


class Forecasts:
    """Reads ``flow_forecast``. A gate's day is read once; all are forgotten when something is published."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float] = time.monotonic) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._lock = threading.Lock()
        self._days: dict[tuple[str, date], dict[int, HourForecast]] = {}
        self._stamp: tuple[Any, ...] | None = None
        self._checked = float("-inf")
        self._checking = False

    def day(self, kkmc: str, day: date) -> dict[int, HourForecast]:
        """The forecast hours of a gate's day; empty where none is published."""
        self._notice_publication()
        found = self._days.get((kkmc, day))
        if found is None:
            found = self._read_day(kkmc, day)
        return found

    def sum_of_day(self, day: date) -> dict[int, HourForecast]:
        """The hours of a day summed over all gates.

        Bounds are summed too. That is exact where gates err together and too wide where they do not: the
        band never promises more than the gates' own.
        """
        rows = self._endpoint.rows(
            select(
                _C.hour,
                func.sum(_C.predicted),
                func.sum(_C.low),
                func.sum(_C.high),
                func.max(_C.model_version),
            )
            .where(_C.day == day)
            .group_by(_C.hour)
        )
        return {
            int(hour): HourForecast(float(mid), float(low), float(high), str(version))
            for hour, mid, low, high, version in rows
        }

    def span(self, kkmc: str) -> tuple[date, date] | None:
        """First and last day published for a gate, None where there is none."""
        first, last = self._endpoint.rows(select(func.min(_C.day), func.max(_C.day)).where(_C.kkmc == kkmc))[
            0
        ]
        return None if first is None else (first, last)

    def _read_day(self, kkmc: str, day: date) -> dict[int, HourForecast]:
        stamp = self._stamp
        rows = self._endpoint.rows(
            select(_C.hour, _C.predicted, _C.low, _C.high, _C.model_version).where(
                _C.kkmc == kkmc, _C.day == day
            )
        )
        found = {int(r.hour): HourForecast(r.predicted, r.low, r.high, r.model_version) for r in rows}
        with self._lock:
            # Nothing is remembered of a day without a forecast, nor of one read across a publication.
            if found and stamp == self._stamp:
                if len(self._days) >= MAX_DAYS:
                    self._days.clear()
                self._days[(kkmc, day)] = found
        return found

    def _notice_publication(self) -> None:
        """Asks now and then whether something was published; callers wait only when it is overdue."""
        with self._lock:
            age = self._clock() - self._checked
            if age < CHECK_SECONDS or self._checking:
                return
            self._checking = True
        if age >= STALE_SECONDS:
            self._check()
        else:
            threading.Thread(target=self._check, name="forecast-check", daemon=True).start()

    def _check(self) -> None:
        try:
            row = self._endpoint.rows(
                select(
                    func.count(),
                    func.sum(_C.predicted),
                    func.max(_C.published_at),
                    func.max(_C.model_version),
                ).select_from(FLOW_FORECAST)
            )[0]
            with self._lock:
                if tuple(row) != self._stamp:
                    self._stamp = tuple(row)
                    self._days = {}
        except StoreDownError:
            pass  # what is in memory still holds; a day that is not there says itself that the store is down
        finally:
            with self._lock:
                self._checked = self._clock()
                self._checking = False
