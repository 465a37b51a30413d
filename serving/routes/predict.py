"""What flow to expect."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from serving.dependencies import Day, GateName, ServicesDep, Signed
from serving.problems import ApiError, NotForecastError, TooLittleHistoryError
from serving.repositories.forecasts import HourForecast
from serving.services import Services
from serving.shapes import FlowPrediction

router = APIRouter(prefix="/api/predict", tags=["prediction"], dependencies=[Signed])

NO_REASON = "No forecast is published for this gate: its history is too short, or no model was trained yet."
NO_REASON_ZH = "该卡口暂无预测：历史数据不足，或模型尚未训练。"


@router.get("/flow", summary="Passes expected at a gate in an hour")
def flow(
    held: ServicesDep, kkmc: GateName, hour: Annotated[int, Query(ge=0, le=23)], day: Day
) -> FlowPrediction:
    """With the band that should hold most outcomes. Without `date`: today."""
    gate = held.gates.codename(kkmc)
    expected = held.forecasts.day(gate, day).get(hour)
    if expected is None:
        raise _refusal(held, gate, day)
    return _prediction(expected)


def _prediction(expected: HourForecast) -> FlowPrediction:
    """Passes are whole; the band is widened where rounding would leave the prediction outside."""
    predicted = round(expected.predicted)
    return FlowPrediction(
        predicted_flow=predicted,
        low=min(round(expected.low, 1), predicted),
        high=max(round(expected.high, 1), predicted),
        model_version=expected.model_version,
    )


def _refusal(held: Services, kkmc: str, day: date) -> ApiError:
    span = held.forecasts.span(kkmc)
    if span is not None:
        return NotForecastError(
            f"No forecast for {day}: published are {span[0]} to {span[1]}.",
            first=span[0].isoformat(),
            last=span[1].isoformat(),
        )
    said = held.flow_status.latest()
    return TooLittleHistoryError(
        said.reason or NO_REASON,
        reason=said.reason or "not_published",
        reason_zh=said.reason_zh or NO_REASON_ZH,
        model_status=said.status,
    )
