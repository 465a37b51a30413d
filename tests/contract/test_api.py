"""The API's contract: its paths, what goes in, what comes out, and the screen's copy of it."""

from __future__ import annotations

from typing import Any

import pytest

from kakou.alert import Alert, AlertPass, Evidence
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from serving.app import create_app
from serving.shapes import AlertItem, ReviewItem
from serving.typescript import TYPES_FILE, render

# Path, parameters (required ones with !), fields of the answer; [] before them if it is a list.
CONTRACT: dict[tuple[str, str], tuple[set[str], str, set[str]]] = {
    ("post", "/api/query"): (
        {"hphm", "kkmc", "start", "end", "hpzl", "fxlx", "page", "size", "cursor"},
        "",
        {"total", "page", "size", "next_cursor", "items"},
    ),
    ("get", "/api/stats/city_flow"): (
        set(),
        "",
        {"today", "last_5_min", "per_second", "observed_share", "updated_at"},
    ),
    ("get", "/api/stats/kkmc_count"): ({"limit", "hours"}, "[]", {"name", "value"}),
    ("get", "/api/stats/hourly_flow"): (
        {"kkmc", "date"},
        "[]",
        {"hour", "value", "forecast", "low", "high"},
    ),
    ("get", "/api/stats/map_data"): ({"hours"}, "[]", {"name", "value"}),
    ("get", "/api/stats/vehicle_type"): ({"hours"}, "[]", {"name", "value"}),
    ("get", "/api/warnings/realtime"): ({"limit"}, "[]", set(AlertItem.model_fields)),
    ("get", "/api/predict/flow"): (
        {"kkmc!", "hour!", "date"},
        "",
        {"predicted_flow", "low", "high", "model_version"},
    ),
    ("post", "/api/warnings/{id}/review"): (
        {"outcome!", "reason", "note", "reviewer"},
        "",
        {"id", "alert_id", "outcome", "reason", "note", "reviewer", "created_at"},
    ),
    ("get", "/api/warnings/{id}/reviews"): ({"id!"}, "[]", set(ReviewItem.model_fields)),
    ("get", "/api/reviews"): ({"alert_id!"}, "[]", {"alert_id", "review"}),
    ("post", "/api/login"): ({"username!", "password!"}, "", {"access_token", "expires_in"}),
    ("get", "/health"): (set(), "", {"status", "timestamp", "version"}),
    ("get", "/ready"): (set(), "", {"status", "timestamp", "checks"}),
}
BESIDE_THE_CONTRACT = {
    ("get", "/api/gates"),
    ("get", "/api/stats/detection"),
    ("get", "/api/warnings/{id}/evidence"),
    ("get", "/metrics"),
}
DEFAULTS = {
    ("get", "/api/stats/kkmc_count"): {"limit": 10, "hours": 24},
    ("get", "/api/stats/map_data"): {"hours": 24},
    ("get", "/api/stats/vehicle_type"): {"hours": 24},
    ("get", "/api/warnings/realtime"): {"limit": 10},
}
CREATED = {("post", "/api/warnings/{id}/review")}
OPEN = {("get", "/health"), ("get", "/ready"), ("post", "/api/login")}


@pytest.fixture
def schema(settings: Settings) -> dict[str, Any]:
    return create_app(settings).openapi()


def operations(schema: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def follow(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
    return part


def test_the_paths_are_those_of_the_contract(schema: dict[str, Any]) -> None:
    assert set(operations(schema)) == set(CONTRACT) | BESIDE_THE_CONTRACT


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_what_goes_in(schema: dict[str, Any], key: tuple[str, str]) -> None:
    operation = operations(schema)[key]
    if "requestBody" in operation:
        body = follow(schema, operation["requestBody"]["content"]["application/json"]["schema"])
        required = set(body.get("required", ()))
        found = {f"{name}!" if name in required else name for name in body["properties"]}
    else:
        found = {p["name"] + ("!" if p["required"] else "") for p in operation.get("parameters", ())}
    assert found == CONTRACT[key][0]


@pytest.mark.parametrize("key", CONTRACT, ids=" ".join)
def test_what_comes_out(schema: dict[str, Any], key: tuple[str, str]) -> None:
    status = "201" if key in CREATED else "200"
    answer = operations(schema)[key]["responses"][status]["content"]["application/json"]["schema"]
    _, many, fields = CONTRACT[key]
    if many:
        assert answer["type"] == "array"
        answer = answer["items"]
    assert set(follow(schema, answer)["properties"]) == fields


@pytest.mark.parametrize("key", DEFAULTS, ids=" ".join)
def test_defaults(schema: dict[str, Any], key: tuple[str, str]) -> None:
    parameters = operations(schema)[key]["parameters"]
    assert {p["name"]: p["schema"].get("default") for p in parameters} == DEFAULTS[key]


def test_paging_defaults_and_the_largest_page(schema: dict[str, Any]) -> None:
    fields = schema["components"]["schemas"]["PassQuery"]["properties"]
    assert (fields["page"]["default"], fields["size"]["default"], fields["size"]["maximum"]) == (1, 20, 200)


def test_reviews_of_at_most_a_hundred_warnings_at_once(schema: dict[str, Any]) -> None:
    (asked,) = operations(schema)["get", "/api/reviews"]["parameters"]
    assert (asked["schema"]["minItems"], asked["schema"]["maxItems"]) == (1, 100)


def test_a_pass_is_the_12_fields_in_lower_case_and_in_order(schema: dict[str, Any]) -> None:
    assert tuple(schema["components"]["schemas"]["PassItem"]["properties"]) == COLUMNS_12


def test_only_health_ready_and_login_are_open(schema: dict[str, Any]) -> None:
    assert {key for key, operation in operations(schema).items() if "security" not in operation} == OPEN


def test_every_error_is_a_problem(schema: dict[str, Any]) -> None:
    for operation in operations(schema).values():
        for status, answer in operation["responses"].items():
            if status not in ("200", "201"):
                assert "application/problem+json" in answer["content"], operation["summary"]


def test_an_alert_of_the_stream_goes_through_the_api_unchanged() -> None:
    side = AlertPass("a", "G3_Xuzhou_K731", "G3京台高速", "2024-01-15 08:00:10", "大众牌")
    alert = Alert(
        alert_id="1" * 32,
        verdict="cloned_plate",
        confidence=0.97,
        severity="high",
        hphm="苏C12345",
        hpzl="02",
        first=side,
        second=side,
        gap_seconds=210,
        min_travel_seconds=None,
        distance_km=None,
        implied_kmh=None,
        evidence=(Evidence("impossible_travel", 3.1, "中", "en"),),
        case_id="2" * 32,
        rule_version="1",
        detected_at="2024-01-15T08:03:41.120+08:00",
    )
    assert AlertItem.model_validate_json(alert.to_json()).model_dump() == alert.to_dict()


def test_the_screen_knows_the_same_shapes() -> None:
    assert TYPES_FILE.read_text(encoding="utf-8") == render(), "Run `python -m serving.typescript`."
