"""What the API says when it cannot answer; no store is running here."""

from __future__ import annotations

import time

import pytest
from fastapi.testclient import TestClient

from kakou.secret_files import secret
from kakou.settings import Settings
from serving.app import create_app
from serving.envelope import MAX_BODY_BYTES

DEAD_OFFSET = 40_000  # nobody listens there


@pytest.fixture
def dead(settings: Settings) -> Settings:
    return settings.model_copy(update={"port_offset": DEAD_OFFSET})


@pytest.fixture
def client(dead: Settings) -> TestClient:
    return TestClient(
        create_app(dead), base_url=f"http://127.0.0.1:{dead.port('api')}", raise_server_exceptions=False
    )


@pytest.fixture
def bearer(dead: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret(dead, 'api_token').get_secret_value()}"}


def test_health_needs_no_store(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok" and answer.json()["timestamp"].endswith("+08:00")


def test_ready_names_every_store_that_is_away_within_five_seconds(client: TestClient) -> None:
    began = time.monotonic()
    answer = client.get("/ready")
    assert time.monotonic() - began < 5
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/store-down"
    assert {"endpoint", "dn1", "dn2", "redis"} == set(answer.json()["checks"])
    assert "ok" not in answer.json()["checks"].values()


@pytest.mark.parametrize(
    "path",
    [
        "/api/stats/city_flow",
        "/api/stats/kkmc_count",
        "/api/stats/hourly_flow",
        "/api/stats/map_data",
        "/api/stats/vehicle_type",
        "/api/warnings/realtime",
        f"/api/warnings/{'0' * 32}/evidence",
        "/api/gates",
        "/api/predict/flow?kkmc=a&hour=3",
    ],
)
def test_a_store_that_is_down_is_503_and_a_sentence(
    client: TestClient, bearer: dict[str, str], path: str
) -> None:
    answer = client.get(path, headers=bearer)
    assert answer.status_code == 503
    body = answer.json()
    assert body["type"] == "/problems/store-down" and body["status"] == 503 and body["detail"].endswith(".")
    for secret_word in ("Traceback", "pymysql", "kakou_reader", "File "):
        assert secret_word not in answer.text


def test_detection_counts_are_unknown_and_not_zero_while_their_stores_are_away(
    client: TestClient, bearer: dict[str, str]
) -> None:
    answer = client.get("/api/stats/detection", headers=bearer)
    assert answer.json() == {"withheld": None, "late": None, "future": None, "warnings_today": None}


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/stats/city_flow",
        "/api/query",
        "/api/warnings/realtime",
        f"/api/warnings/{'0' * 32}/evidence",
        "/metrics",
        "/docs",
        "/openapi.json",
    ],
)
def test_everything_but_health_ready_and_login_needs_a_token(
    client: TestClient, method: str, path: str
) -> None:
    answer = client.request(method, path, json={} if method == "post" else None)
    assert answer.status_code in (401, 405)
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "/problems/not-signed-in"


@pytest.mark.parametrize(
    "body",
    [
        {"page": 0},
        {"size": 201},
        {"size": 0},
        {"start": "yesterday"},
        {"start": 1700000000},
        {"plate": "苏C12345"},
        {"start": "2024-01-02 00:00:00", "end": "2024-01-01 00:00:00"},
        {"hphm": "苏" * 41},
        {"cursor": "x"},
        [],
        "x",
    ],
)
def test_bad_search_is_422_and_names_the_field(
    client: TestClient, bearer: dict[str, str], body: object
) -> None:
    answer = client.post("/api/query", json=body, headers=bearer)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-input"
    assert answer.json()["errors"][0]["message"]


def test_an_end_before_the_start_is_found_across_zones(client: TestClient, bearer: dict[str, str]) -> None:
    body = {"start": "2024-01-01T10:00:00+08:00", "end": "2024-01-01 09:00:00"}
    assert client.post("/api/query", json=body, headers=bearer).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/api/predict/flow?kkmc=a&hour=24",
        "/api/predict/flow?kkmc=a&hour=-1",
        "/api/predict/flow?kkmc=a",
        "/api/predict/flow?hour=3",
        "/api/predict/flow?kkmc=a&hour=3&date=tomorrow",
        "/api/stats/kkmc_count?limit=0",
        "/api/stats/map_data?hours=0",
        "/api/warnings/realtime?limit=1001",
        "/api/warnings/no-such-id/evidence",
        "/api/stats/hourly_flow?date=2024-13-01",
    ],
)
def test_bad_parameters_are_422_whatever_the_stores_do(
    client: TestClient, bearer: dict[str, str], path: str
) -> None:
    assert client.get(path, headers=bearer).status_code == 422


def test_a_refused_login_never_repeats_the_password(client: TestClient) -> None:
    for body in (
        {"username": "admin", "password": {"pass": "hunter22"}},
        {"username": "admin", "password": "hunter22"},
    ):
        assert "hunter22" not in client.post("/api/login", json=body).text


def test_unknown_paths_and_methods_are_problems_too(client: TestClient) -> None:
    assert client.get("/nothing").json()["type"] == "/problems/not-found"
    wrong = client.put("/health")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "/problems/method-not-allowed")
    assert wrong.headers["allow"] == "GET"


def test_only_known_hosts_are_served(client: TestClient, dead: Settings) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:5000", "evil.example:5000", "", "127.0.0.1:x"):
        answer = client.get("/health", headers={"host": host})
        assert (answer.status_code, answer.json()["type"]) == (400, "/problems/untrusted-host")
    for host in ("127.0.0.1:9", "localhost", f"LOCALHOST:{dead.port('api')}"):
        assert client.get("/health", headers={"host": host}).status_code == 200


def test_further_hosts_come_from_the_settings(dead: Settings) -> None:
    app = create_app(dead.model_copy(update={"api_hosts": "kakou.example, b.example"}))
    assert TestClient(app, base_url="http://kakou.example").get("/health").status_code == 200


def test_pages_of_other_origins_may_not_call(client: TestClient, dead: Settings) -> None:
    def preflight(origin: str) -> str | None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        return client.options("/api/gates", headers=asked).headers.get("access-control-allow-origin")

    assert preflight("http://evil.example") is None
    assert preflight(f"http://localhost:{dead.port('api')}") == f"http://localhost:{dead.port('api')}"


def test_every_answer_wears_the_security_headers_and_an_id(client: TestClient) -> None:
    for path in ("/health", "/nothing", "/api/gates", "/ready"):
        headers = client.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "'unsafe-inline'" not in headers["content-security-policy"].split("style-src")[0]
        assert headers["x-request-id"]


def test_the_callers_request_id_is_kept_if_it_is_harmless(client: TestClient) -> None:
    assert client.get("/nothing", headers={"x-request-id": "abc-1"}).json()["request_id"] == "abc-1"
    assert (
        client.get("/health", headers={"x-request-id": "a b<script>"}).headers["x-request-id"]
        != "a b<script>"
    )


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_refused(client: TestClient, chunked: bool) -> None:
    large = b"x" * (MAX_BODY_BYTES + 1)
    answer = client.post("/api/login", content=iter([large]) if chunked else large)
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/body-too-large")


def test_a_crash_is_a_problem_without_a_trace(dead: Settings) -> None:
    app = create_app(dead)

    @app.get("/crash")
    def crash() -> None:
        raise RuntimeError("a secret detail")

    answer = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False).get("/crash")
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert "secret detail" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
