"""Counts by gate and hour, from the roll-up ``flow_hourly`` that the stream's writer keeps.

Only sums and counts go through the endpoint: they can be added over shards, an average cannot.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select

from serving.shapes import NamedValue
from serving.stores import Endpoint
from serving.tables import FLOW_HOURLY

_F = FLOW_HOURLY.c
_SUM = func.sum(_F.n)
USUAL_DAYS: Final = 3  # what traffic_data keeps by default


class Flow:
    """Reads ``flow_hourly``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def of_day(self, day: date) -> int:
        """All passes of a day."""
        return int(self._endpoint.scalar(select(_SUM).where(_F.day == day)) or 0)

    def by_hour(self, day: date, kkmc: str | None) -> dict[int, int]:
        """Passes of each hour of a day that has any, of one gate or of all."""
        wanted: list[ColumnElement[bool]] = [_F.day == day]
        if kkmc is not None:
            wanted.append(_F.kkmc == kkmc)
        rows = self._endpoint.rows(select(_F.hour, _SUM).where(*wanted).group_by(_F.hour))
        return {int(hour): int(n) for hour, n in rows}

    def by_gate(self, now: datetime, hours: int, limit: int) -> list[NamedValue]:
        """The busiest gates by codename, largest first."""
        return self._by(_F.kkmc, now, hours, limit)

    def by_province(self, now: datetime, hours: int) -> list[NamedValue]:
        """Passes by the province of the plate, largest first."""
        return self._by(_F.province, now, hours)

    def by_vehicle_type(self, now: datetime, hours: int) -> list[NamedValue]:
        """Passes by plate type in words, largest first."""
        return self._by(_F.vehicle_type_name, now, hours)

    def saw(self, kkmc: str) -> bool:
        """True if that gate ever had a pass that is still counted."""
        return bool(self._endpoint.rows(select(_F.kkmc).where(_F.kkmc == kkmc).limit(1)))

    def observed_share(self, now: datetime) -> float | None:
        """Share of today's (gate, hour) that were not silent.

        Expected is each hour of today that has ended, at each gate with any pass within ``USUAL_DAYS`` days.
        The running hour counts only where it already has a pass, since a quiet start proves nothing. A
        quiet gate at night looks silent by this measure. None while nothing is expected.
        """
        today = now.date()
        gates = self._endpoint.rows(
            select(_F.kkmc)
            .where(_F.day >= today - timedelta(days=USUAL_DAYS), _F.day <= today)
            .group_by(_F.kkmc)
        )
        seen = self._endpoint.rows(
            select(_F.kkmc, _F.hour).where(_F.day == today, _F.hour <= now.hour).group_by(_F.kkmc, _F.hour)
        )
        running = sum(hour == now.hour for _, hour in seen)
        expected = len(gates) * now.hour + running
        return round(len(seen) / expected, 4) if expected else None

    def _by(
        self, column: ColumnElement[Any], now: datetime, hours: int, limit: int | None = None
    ) -> list[NamedValue]:
        total: Counter[str] = Counter()
        for wanted in _windows(now, hours):
            statement = select(column, _SUM).where(*wanted).group_by(column)
            total.update({str(name): int(n) for name, n in self._endpoint.rows(statement)})
        largest = sorted(total.items(), key=lambda one: (-one[1], one[0]))
        return [NamedValue(name=name, value=n) for name, n in largest[:limit]]


def _windows(now: datetime, hours: int) -> list[list[ColumnElement[bool]]]:
    """The last ``hours`` hours of the clock, the running one included, as conditions to be asked one by one.

    In one condition they would need an OR over two columns, which the endpoint's index range over both days
    cannot use well and its counting on the nodes would answer wrongly (see ``Endpoint.count``).
    """
    first, today = now - timedelta(hours=hours - 1), now.date()
    if first.date() == today:
        return [[_F.day == today, _F.hour >= first.hour, _F.hour <= now.hour]]
    between = [_F.day > first.date(), _F.day < today]
    return [
        [_F.day == first.date(), _F.hour >= first.hour],
        *([between] if today - first.date() > timedelta(days=1) else []),
        [_F.day == today, _F.hour <= now.hour],
    ]
