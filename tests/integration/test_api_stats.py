"""The numbers of the screen against a count by hand, over both real nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from api_client import NOW, api_client
from api_rows import GATES, passage, store_counts, store_forecast, store_gates, store_passes, wipe
from fastapi.testclient import TestClient

from kakou.passage import Passage
from kakou.settings import Settings

pytestmark = pytest.mark.integration

_DICE = Random(3)
PLATES = ("苏C12345", "苏C54321", "鲁Q11111", "皖L22222", "-")
TYPES = ("02", "02", "01", "52", "-")


def _passes() -> list[Passage]:
    """Four days up to now, unevenly over gates, and one a few minutes ahead of now."""
    times = [NOW - timedelta(seconds=_DICE.randrange(4 * 86_400)) for _ in range(900)]
    times += [NOW - timedelta(seconds=second) for second in (0, 30, 59, 60, 61, 299, 300, 301)]
    times.append(NOW + timedelta(hours=1))
    return [
        passage(
            f"s{i}", GATES[min(_DICE.randrange(6), 4)][0], at, _DICE.choice(PLATES), hpzl=_DICE.choice(TYPES)
        )
        for i, at in enumerate(times)
    ]


PASSES = _passes()


@pytest.fixture(scope="module")
def filled(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("dimension")
    wipe(stack)
    store_gates(stack, folder)
    store_passes(stack, PASSES)
    yield stack
    wipe(stack)


@pytest.fixture
def client(filled: Settings) -> TestClient:
    return api_client(filled)


def in_window(hours: int, now: datetime = NOW) -> list[Passage]:
    """Passes of the last hours of the clock, the running one included, counted by hand."""
    running = now.replace(minute=0, second=0)
    return [
        one
        for one in PASSES
        if running - timedelta(hours=hours - 1) <= one.gcsj < running + timedelta(hours=1)
    ]


def ranked(counted: Counter[str]) -> list[dict[str, object]]:
    return [{"name": k, "value": v} for k, v in sorted(counted.items(), key=lambda one: (-one[1], one[0]))]


def test_city_flow(client: TestClient) -> None:
    body = client.get("/api/stats/city_flow").json()
    assert body["today"] == sum(one.gcsj.date() == NOW.date() for one in PASSES)
    assert body["last_5_min"] == sum(timedelta() <= NOW - one.gcsj < timedelta(minutes=5) for one in PASSES)
    recent = sum(timedelta() <= NOW - one.gcsj < timedelta(minutes=1) for one in PASSES)
    assert body["per_second"] == round(recent / 60, 2) > 0
    assert body["updated_at"] == "2024-01-15T10:20:30.000+08:00"


def test_observed_share_is_of_the_hours_that_ended_and_of_the_running_one_where_it_was_seen(
    client: TestClient,
) -> None:
    seen = {
        (one.kkmc, one.gcsj.hour) for one in PASSES if one.gcsj.date() == NOW.date() and one.gcsj.hour <= 10
    }
    usual = {one.kkmc for one in PASSES}
    running = {gate for gate, hour in seen if hour == 10}
    share = client.get("/api/stats/city_flow").json()["observed_share"]
    assert share == round(len(seen) / (len(usual) * 10 + len(running)), 4)
    assert 0 < share < 1


# One hour, within today, over one midnight, over several days: each asks the endpoint in another way.
@pytest.mark.parametrize("hours", [1, 5, 11, 12, 24, 36, 72])
def test_gates_origins_and_types_of_a_window(client: TestClient, hours: int) -> None:
    window = in_window(hours)
    gates = client.get("/api/stats/kkmc_count", params={"hours": hours, "limit": 100}).json()
    assert gates == ranked(Counter(one.kkmc for one in window))
    origins = client.get("/api/stats/map_data", params={"hours": hours}).json()
    assert origins == ranked(Counter(one.province for one in window))
    types = client.get("/api/stats/vehicle_type", params={"hours": hours}).json()
    assert types == ranked(Counter(one.vehicle_type_name for one in window))


def test_a_window_that_begins_at_midnight(filled: Settings) -> None:
    now = NOW.replace(hour=0, minute=5)
    body = api_client(filled, now).get("/api/stats/map_data", params={"hours": 2}).json()
    assert sum(one["value"] for one in body) == len(in_window(2, now))


def test_the_limit_keeps_the_largest(client: TestClient) -> None:
    every = client.get("/api/stats/kkmc_count", params={"limit": 100}).json()
    assert client.get("/api/stats/kkmc_count", params={"limit": 2}).json() == every[:2]


def test_hours_of_a_day_of_one_gate_and_of_all(client: TestClient) -> None:
    day, gate = NOW.date() - timedelta(days=1), GATES[1]
    for parameters, mine in (({}, None), ({"kkmc": gate[0]}, gate[0]), ({"kkmc": gate[1]}, gate[0])):
        body = client.get("/api/stats/hourly_flow", params={"date": day.isoformat(), **parameters}).json()
        counted = Counter(
            one.gcsj.hour for one in PASSES if one.gcsj.date() == day and mine in (None, one.kkmc)
        )
        assert [one["hour"] for one in body] == list(range(24))
        assert [one["value"] for one in body] == [counted[hour] for hour in range(24)]
        assert {(one["forecast"], one["low"], one["high"]) for one in body} == {(None, None, None)}


def test_the_forecast_stands_beside_what_passed(client: TestClient, filled: Settings) -> None:
    today = NOW.date()
    store_forecast(
        filled,
        [(GATES[0][0], today, 8, 10.26, 5.0, 15.0), (GATES[1][0], today, 8, 1.0, 0.5, 2.25)],
    )
    every = client.get("/api/stats/hourly_flow").json()
    assert (every[8]["forecast"], every[8]["low"], every[8]["high"]) == (11.3, 5.5, 17.2)
    assert every[9]["forecast"] is None
    one = client.get("/api/stats/hourly_flow", params={"kkmc": GATES[0][0]}).json()
    assert (one[8]["forecast"], one[8]["low"], one[8]["high"]) == (10.3, 5.0, 15.0)


def test_unknown_gate_of_the_hourly_curve_is_404(client: TestClient) -> None:
    assert client.get("/api/stats/hourly_flow", params={"kkmc": "nowhere"}).status_code == 404


def test_gates_have_their_names_and_an_unknown_position_is_null(client: TestClient) -> None:
    body = {gate["kkmc"]: gate for gate in client.get("/api/gates").json()}
    assert {gate[0] for gate in GATES} <= set(body)
    assert body[GATES[0][0]]["lon"] == GATES[0][5] and body[GATES[0][0]]["name"] == GATES[0][1]
    assert body[GATES[4][0]]["lon"] is None and body[GATES[4][0]]["lat"] is None


def test_detection_counts(filled: Settings) -> None:
    store_counts(filled, withheld=12, late=3, future=1, passes=99)
    body = api_client(filled).get("/api/stats/detection").json()
    assert body == {"withheld": 12, "late": 3, "future": 1, "warnings_today": 0}


def test_many_screens_cost_one_query(client: TestClient, filled: Settings) -> None:
    first = client.get("/api/stats/kkmc_count").json()
    store_passes(filled, [passage("later", GATES[0][0], NOW)])
    PASSES.append(passage("later", GATES[0][0], NOW))
    assert client.get("/api/stats/kkmc_count").json() == first
    assert api_client(filled).get("/api/stats/kkmc_count").json() != first
