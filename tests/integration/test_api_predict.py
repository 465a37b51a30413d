"""Predictions from published forecasts, and the reasons where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from api_client import NOW, api_client
from api_rows import ALIAS, GATES, passage, store_flow_status, store_forecast, store_gates, store_passes, wipe
from sqlalchemy import event

from kakou.settings import Settings
from serving.repositories import forecasts

pytestmark = pytest.mark.integration

GATE, OTHER = GATES[0][0], GATES[1][0]
TODAY = NOW.date()


@pytest.fixture
def stores(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    wipe(stack)
    store_gates(stack, tmp_path)
    store_forecast(stack, [(GATE, TODAY + timedelta(days=d), 8, 120.4 + d, 80.25, 161.0) for d in range(3)])
    yield stack
    wipe(stack)


def ask(settings: Settings, **parameters: object) -> tuple[int, dict[str, object]]:
    answer = api_client(settings).get("/api/predict/flow", params=parameters)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("spelling", [GATE, GATES[0][1], ALIAS])
def test_a_published_hour_is_answered(stores: Settings, spelling: str) -> None:
    wanted = {"predicted_flow": 120, "low": 80.2, "high": 161.0, "model_version": "3"}
    assert ask(stores, kkmc=spelling, hour=8) == (200, wanted)


def test_another_day_has_its_own(stores: Settings) -> None:
    tomorrow = TODAY + timedelta(days=1)
    assert ask(stores, kkmc=GATE, hour=8, date=tomorrow.isoformat())[1]["predicted_flow"] == 121


def test_rounding_never_leaves_the_prediction_outside_its_band(stores: Settings) -> None:
    store_forecast(stores, [(GATE, TODAY, 3, 0.6, 0.55, 0.7)])
    body = ask(stores, kkmc=GATE, hour=3)[1]
    assert body["low"] <= body["predicted_flow"] <= body["high"]  # type: ignore[operator]


def test_an_unknown_gate_is_404(stores: Settings) -> None:
    status, body = ask(stores, kkmc="nowhere", hour=8)
    assert (status, body["type"]) == (404, "/problems/unknown-gate")


def test_a_day_outside_what_is_published_names_what_is(stores: Settings) -> None:
    status, body = ask(stores, kkmc=GATE, hour=8, date="2030-01-01")
    assert (status, body["type"]) == (404, "/problems/not-forecast")
    assert (body["first"], body["last"]) == ("2024-01-15", "2024-01-17")


def test_too_little_data_gives_the_reason_of_the_training(stores: Settings) -> None:
    store_flow_status(stores, status="refused", reason="Only 9 observed days.", reason_zh="只有 9 天。")
    status, body = ask(stores, kkmc=OTHER, hour=8)
    assert (status, body["type"]) == (409, "/problems/too-little-data")
    assert (body["detail"], body["reason_zh"]) == ("Only 9 observed days.", "只有 9 天。")


def test_without_a_word_of_the_training_it_still_says_why(stores: Settings) -> None:
    status, body = ask(stores, kkmc=OTHER, hour=8)
    assert status == 409 and body["reason_zh"] and body["detail"]


def test_a_gate_that_only_the_stream_knows_is_no_unknown_gate(stores: Settings) -> None:
    store_passes(stores, [passage("new1", "X9_New_K1", NOW)])
    assert ask(stores, kkmc="X9_New_K1", hour=8)[0] == 409


def test_a_second_prediction_asks_no_store(stores: Settings) -> None:
    client = api_client(stores)
    statements: list[str] = []
    engine = client.app.state.services.endpoint._engine  # type: ignore[attr-defined]
    parameters = {"kkmc": GATE, "hour": 8}
    assert client.get("/api/predict/flow", params=parameters).status_code == 200
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    for _ in range(20):
        assert client.get("/api/predict/flow", params=parameters).status_code == 200
    assert statements == []


def test_what_is_newly_published_is_seen_soon(stores: Settings) -> None:
    hand = [0.0]
    book = api_client(stores).app.state.services.forecasts  # type: ignore[attr-defined]
    book._clock = lambda: hand[0]
    assert book.day(GATE, TODAY)[8].model_version == "3"
    store_forecast(stores, [(GATE, TODAY, 8, 99.0, 90.0, 110.0)], "4", datetime(2024, 1, 2))
    assert book.day(GATE, TODAY)[8].model_version == "3"
    hand[0] = forecasts.STALE_SECONDS + 1
    assert book.day(GATE, TODAY)[8].model_version == "4"


def test_the_day_before_midnight_and_after_it_is_another(stores: Settings) -> None:
    late = datetime.combine(date(2024, 1, 14), datetime.max.time()).replace(microsecond=0)
    answer = api_client(stores, late).get("/api/predict/flow", params={"kkmc": GATE, "hour": 8})
    assert answer.status_code == 404
