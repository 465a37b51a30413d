"""Numbers of the big screen. Each is cached for a moment, so that many screens cost one query."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query

from serving.dependencies import Day, Hours, Now, OptionalGateName, ServicesDep, Signed
from serving.repositories.forecasts import HourForecast
from serving.services import Services
from serving.shapes import CityFlow, DetectionCounts, Gate, HourFlow, NamedValue

router = APIRouter(prefix="/api", tags=["stats"], dependencies=[Signed])

LIVE_SECONDS: Final = 2.0
ROLLUP_SECONDS: Final = 3.0
SHARE_SECONDS: Final = 15.0
FIVE_MINUTES: Final = timedelta(minutes=5)
ONE_MINUTE: Final = timedelta(minutes=1)


@router.get("/stats/city_flow", summary="Passes today, in the last five minutes and per second")
def city_flow(held: ServicesDep, current: Now) -> CityFlow:
    """`per_second` is over the last minute; `observed_share` of today's (gate, hour), those not silent."""
    return held.cache.get("city_flow", LIVE_SECONDS, lambda: _city_flow(held, current))


@router.get("/stats/kkmc_count", summary="The busiest gates")
def kkmc_count(
    held: ServicesDep, current: Now, limit: Annotated[int, Query(ge=1, le=1000)] = 10, hours: Hours = 24
) -> list[NamedValue]:
    """`name` is the gate's codename; `GET /api/gates` has its other names."""
    return held.cache.get(
        ("kkmc_count", hours, limit), ROLLUP_SECONDS, lambda: held.flow.by_gate(current, hours, limit)
    )


@router.get("/stats/hourly_flow", summary="The 24 hours of a day with their forecast")
def hourly_flow(held: ServicesDep, day: Day, kkmc: OptionalGateName = None) -> list[HourFlow]:
    """Of one gate, or of all with their forecasts and bounds summed. Null where nothing is published."""
    gate = held.gates.codename(kkmc) if kkmc else None
    return held.cache.get(("hourly_flow", gate, day), ROLLUP_SECONDS, lambda: _hourly_flow(held, gate, day))


@router.get("/stats/map_data", summary="Passes by the province of the plate")
def map_data(held: ServicesDep, current: Now, hours: Hours = 24) -> list[NamedValue]:
    return held.cache.get(("map_data", hours), ROLLUP_SECONDS, lambda: held.flow.by_province(current, hours))


@router.get("/stats/vehicle_type", summary="Passes by plate type")
def vehicle_type(held: ServicesDep, current: Now, hours: Hours = 24) -> list[NamedValue]:
    return held.cache.get(
        ("vehicle_type", hours), ROLLUP_SECONDS, lambda: held.flow.by_vehicle_type(current, hours)
    )


@router.get("/stats/detection", summary="What detection withheld, set aside and warned of")
def detection(held: ServicesDep, current: Now) -> DetectionCounts:
    midnight = datetime.combine(current.date(), time())
    return held.cache.get("detection", LIVE_SECONDS, lambda: held.warnings.counts(midnight))


@router.get("/gates", summary="Every gate with its names and approximate position")
def gates(held: ServicesDep) -> list[Gate]:
    return held.gates.all()


def _city_flow(held: Services, current: datetime) -> CityFlow:
    return CityFlow(
        today=held.flow.of_day(current.date()),
        last_5_min=held.passes.count_since(current, FIVE_MINUTES),
        per_second=round(held.passes.count_since(current, ONE_MINUTE) / ONE_MINUTE.total_seconds(), 2),
        observed_share=held.cache.get("observed", SHARE_SECONDS, lambda: held.flow.observed_share(current)),
        updated_at=held.clock().isoformat(timespec="milliseconds"),
    )


def _hourly_flow(held: Services, gate: str | None, day: date) -> list[HourFlow]:
    expected = held.forecasts.day(gate, day) if gate else held.forecasts.sum_of_day(day)
    return _hours(held.flow.by_hour(day, gate), expected)


def _hours(counted: dict[int, int], forecast: dict[int, HourForecast]) -> list[HourFlow]:
    hours = []
    for hour in range(24):
        expected = forecast.get(hour)
        hours.append(
            HourFlow(
                hour=hour,
                value=counted.get(hour, 0),
                forecast=round(expected.predicted, 1) if expected else None,
                low=round(expected.low, 1) if expected else None,
                high=round(expected.high, 1) if expected else None,
            )
        )
    return hours
