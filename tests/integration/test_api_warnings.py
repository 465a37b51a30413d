"""Live warnings from Redis, from the table when Redis is away, and what is said when both are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from api_client import NOW, api_client, without
from api_rows import GATES, alert, store_alerts, store_counts, store_gates, wipe

from kakou import redis_keys
from kakou.alert import Alert
from kakou.connections import redis_client
from kakou.settings import Settings

pytestmark = pytest.mark.integration


def _alert(minute: int, verdict: str = "cloned_plate") -> Alert:
    at = NOW - timedelta(minutes=60 - minute)
    first, second = (f"a{minute}", GATES[0][0], at - timedelta(seconds=210)), (f"b{minute}", GATES[1][0], at)
    return alert(f"苏C{minute:05d}", first, second, verdict=verdict)


CLONES = [_alert(minute) for minute in range(15)]


@pytest.fixture(scope="module")
def stores(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("dimension")
    wipe(stack)
    store_gates(stack, folder)
    store_alerts(stack, CLONES)
    store_alerts(stack, [_alert(50, "misread"), _alert(51, "clock_fault")])
    yield stack
    wipe(stack)


def test_newest_first_ten_unless_asked_otherwise_and_as_they_were_raised(stores: Settings) -> None:
    client = api_client(stores)
    newest = [one.to_dict() for one in reversed(CLONES)]
    assert client.get("/api/warnings/realtime").json() == newest[:10]
    assert client.get("/api/warnings/realtime", params={"limit": 3}).json() == newest[:3]
    assert client.get("/api/warnings/realtime", params={"limit": 1000}).json() == newest


def test_without_redis_the_table_answers_the_same(stores: Settings) -> None:
    client = api_client(without(stores, ["redis"]))
    answer = client.get("/api/warnings/realtime", params={"limit": 12})
    assert answer.json() == [one.to_dict() for one in reversed(CLONES)][:12]


def test_without_the_database_redis_is_enough(stores: Settings) -> None:
    client = api_client(without(stores, ["endpoint"]))
    assert len(client.get("/api/warnings/realtime").json()) == 10
    assert client.get("/api/stats/city_flow").status_code == 503


def test_without_both_it_is_503(stores: Settings) -> None:
    answer = api_client(without(stores, ["redis", "endpoint"])).get("/api/warnings/realtime")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-down")


def test_a_line_that_is_no_alert_blanks_nothing(stores: Settings) -> None:
    client = redis_client(stores)
    client.lpush(redis_keys.WARNINGS, "{not json", '{"alert_id": "half"}')
    try:
        shown = api_client(stores).get("/api/warnings/realtime").json()
    finally:
        client.lpop(redis_keys.WARNINGS, 2)
    assert [one["alert_id"] for one in shown] == [one.alert_id for one in reversed(CLONES)][:8]


def test_warnings_of_today_count_clones_only(stores: Settings) -> None:
    store_counts(stores, withheld=4)
    body = api_client(stores).get("/api/stats/detection").json()
    assert (body["warnings_today"], body["withheld"]) == (len(CLONES), 4)
    tomorrow = api_client(stores, NOW + timedelta(days=1)).get("/api/stats/detection").json()
    assert tomorrow["warnings_today"] == 0


@pytest.mark.parametrize("away", ["endpoint", "redis", "dn1", "dn2"])
def test_ready_names_the_one_store_that_is_away(stores: Settings, away: str) -> None:
    answer = api_client(without(stores, [away])).get("/ready")
    assert answer.status_code == 503
    assert [name for name, said in answer.json()["checks"].items() if said != "ok"] == [away]


def test_ready_when_all_answer(stores: Settings) -> None:
    answer = api_client(stores).get("/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"endpoint": "ok", "dn1": "ok", "dn2": "ok", "redis": "ok"}


def test_a_case_that_is_told_of_again_is_one_warning_and_what_is_taken_back_is_shown(
    stores: Settings,
) -> None:
    """Last in this file, as it leaves both in the table."""
    surer = replace(
        CLONES[3], alert_id="surer", step=2, severity="critical", detected_at=f"{NOW:%FT%T}.001+08:00"
    )
    gone = replace(surer, alert_id="gone", step=3, verdict="misread", status="withdrawn")
    store_alerts(stores, [surer, gone], to_redis=False)
    assert api_client(stores).get("/api/stats/detection").json()["warnings_today"] == len(CLONES)
    shown = api_client(without(stores, ["redis"])).get("/api/warnings/realtime", params={"limit": 3}).json()
    assert {one["alert_id"] for one in shown} >= {"surer", "gone"}
