"""Reviews over HTTP: stored, listed, refused in words, and what is said when a store is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from api_client import NOW, api_client, without
from api_rows import GATES, alert, store_alerts, wipe

from kakou.settings import Settings

pytestmark = pytest.mark.integration

WARNING = alert("苏C00001", ("a", GATES[0][0], NOW - timedelta(minutes=3)), ("b", GATES[1][0], NOW))
LATER = replace(WARNING, alert_id="2" * 32, step=2, severity="critical")
OTHER = alert("苏C00002", ("c", GATES[0][0], NOW - timedelta(minutes=3)), ("d", GATES[1][0], NOW))


@pytest.fixture
def stores(stack: Settings) -> Iterator[Settings]:
    wipe(stack)
    store_alerts(stack, [WARNING, LATER, OTHER])
    yield stack
    wipe(stack)


def say(settings: Settings, name: str, **said: Any) -> Any:
    return api_client(settings).post(f"/api/warnings/{name}/review", json=said)


def test_a_review_is_stored_and_listed(stores: Settings) -> None:
    first = say(stores, WARNING.alert_id, outcome="false", reason="misread", note="8 与 B", reviewer=" li ")
    assert first.status_code == 201
    body = first.json()
    assert body | {"id": 0, "created_at": ""} == {
        "id": 0, "alert_id": WARNING.alert_id, "outcome": "false", "reason": "misread", "note": "8 与 B",
        "reviewer": "li", "created_at": "",
    }  # fmt: skip
    at = datetime.fromisoformat(body["created_at"])
    assert abs((datetime.now(at.tzinfo) - at).total_seconds()) < 60 and body["created_at"].endswith("+08:00")
    second = say(stores, WARNING.alert_id, outcome="confirmed").json()
    assert (second["reason"], second["note"], second["reviewer"]) == (None, "", "shared-token")
    client = api_client(stores)
    assert client.get(f"/api/warnings/{WARNING.alert_id}/reviews").json() == [second, body]


def test_a_case_stands_for_its_newest_warning(stores: Settings) -> None:
    stored = say(stores, WARNING.case_id, outcome="confirmed").json()
    assert stored["alert_id"] == LATER.alert_id
    client = api_client(stores)
    assert client.get(f"/api/warnings/{WARNING.case_id}/reviews").json() == [stored]
    assert client.get(f"/api/warnings/{WARNING.alert_id}/reviews").json() == []


def asked(settings: Settings, *alerts: str) -> Any:
    return api_client(settings).get("/api/reviews", params={"alert_id": alerts})


def test_one_answer_says_what_counts_of_many_warnings(stores: Settings) -> None:
    every = [WARNING.alert_id, LATER.alert_id, OTHER.alert_id, "f" * 32]
    assert asked(stores, *every).json() == []
    first = say(stores, LATER.alert_id, outcome="confirmed").json()
    assert asked(stores, OTHER.alert_id).json() == []
    both = asked(stores, *every).json()
    assert both == [{"alert_id": one, "review": first} for one in sorted(every[:2])]
    # Said last, though of the older warning: it counts for the case, and so for both.
    last = say(stores, WARNING.alert_id, outcome="false", reason="clock").json()
    other = say(stores, OTHER.alert_id, outcome="false", reason="same_owner").json()
    found = {one["alert_id"]: one["review"] for one in asked(stores, *every, LATER.alert_id).json()}
    assert found == {WARNING.alert_id: last, LATER.alert_id: last, OTHER.alert_id: other}


def test_a_later_case_of_the_plate_is_not_reviewed_yet(stores: Settings) -> None:
    say(stores, WARNING.case_id, outcome="confirmed")
    again = replace(WARNING, alert_id="3" * 32, detected_at=f"{NOW + timedelta(days=3):%FT%T}.000+08:00")
    store_alerts(stores, [again])
    found = asked(stores, again.alert_id, LATER.alert_id).json()
    assert [one["alert_id"] for one in found] == [LATER.alert_id]
    assert say(stores, WARNING.case_id, outcome="confirmed").json()["alert_id"] == again.alert_id


@pytest.mark.parametrize("alerts", [(), ("x",), ("0" * 31,), ("0" * 33,), ("0" * 32,) * 101, ("苏C00001",)])
def test_too_many_none_and_what_is_no_id_is_422(stores: Settings, alerts: tuple[str, ...]) -> None:
    refused = asked(stores, *alerts)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-input")


def test_the_most_warnings_that_may_be_asked_for_at_once(stores: Settings) -> None:
    stored = say(stores, WARNING.alert_id, outcome="confirmed").json()
    many = [f"{number:032x}" for number in range(99)]
    assert asked(stores, *many, WARNING.alert_id).json() == [{"alert_id": WARNING.alert_id, "review": stored}]


@pytest.mark.parametrize("name", ["0" * 32, "苏C00001", "realtime", "x'--"])
def test_an_unknown_warning_is_404(stores: Settings, name: str) -> None:
    refused = say(stores, name, outcome="confirmed")
    assert (refused.status_code, refused.json()["type"]) == (404, "/problems/unknown-warning")
    listed = api_client(stores).get(f"/api/warnings/{name}/reviews")
    assert (listed.status_code, listed.json()["type"]) == (404, "/problems/unknown-warning")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"outcome": "false"}, "needs a reason"),
        ({"outcome": "confirmed", "reason": "clock"}, "has no reason"),
        ({"outcome": "perhaps"}, "outcome"),
        ({"outcome": "false", "reason": "weather"}, "reason"),
        ({"outcome": "confirmed", "note": "x" * 501}, "note"),
        ({"outcome": "confirmed", "reviewer": "x" * 65}, "reviewer"),
        ({"outcome": "confirmed", "reviewer": "\x1b[2J"}, "printable"),
        ({"outcome": "confirmed", "verdict": "misread"}, "verdict"),
        ({}, "outcome"),
    ],
)
def test_what_does_not_fit_is_422_and_stores_nothing(
    stores: Settings, said: dict[str, str], words: str
) -> None:
    refused = say(stores, WARNING.alert_id, **said)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/invalid-input")
    assert words in refused.json()["detail"]
    assert api_client(stores).get(f"/api/warnings/{WARNING.case_id}/reviews").json() == []


def test_without_the_database_it_is_503(stores: Settings) -> None:
    settings = without(stores, ["endpoint"])
    listed = api_client(settings).get(f"/api/warnings/{WARNING.alert_id}/reviews")
    many = asked(settings, WARNING.alert_id)
    for answer in (say(settings, WARNING.alert_id, outcome="confirmed"), listed, many):
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-down")


def test_nobody_reviews_without_a_token(stores: Settings) -> None:
    client = api_client(stores)
    client.headers.pop("Authorization")
    answer = client.post(f"/api/warnings/{WARNING.alert_id}/review", json={"outcome": "confirmed"})
    assert answer.status_code == 401
    assert client.get("/api/reviews", params={"alert_id": WARNING.alert_id}).status_code == 401


def test_the_cookie_of_the_screen_may_not_write(stores: Settings) -> None:
    """Whoever opens the page has it, and reviews move what is called."""
    client = api_client(stores)
    del client.headers["Authorization"]
    client.get("/")
    assert client.get("/api/warnings/realtime").status_code == 200
    assert client.get("/api/reviews", params={"alert_id": WARNING.alert_id}).json() == []
    refused = client.post(f"/api/warnings/{WARNING.alert_id}/review", json={"outcome": "confirmed"})
    assert refused.status_code == 401
    assert api_client(stores).get(f"/api/warnings/{WARNING.alert_id}/reviews").json() == []
