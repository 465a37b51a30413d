"""The page of evidence of a stored case, over the API and by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from api_client import NOW, api_client, without
from api_rows import GATES, alert, store_alerts, store_gates, store_tracks, tracks, wipe

from kakou.alert import Alert
from kakou.detection.evidence.stored_cases import evidence_of
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings

pytestmark = pytest.mark.integration


def _alert(plate: str, minute: int) -> Alert:
    at = NOW + timedelta(minutes=minute)
    return alert(
        plate, (f"{plate}1", GATES[0][0], at - timedelta(seconds=210)), (f"{plate}2", GATES[1][0], at)
    )


RAISED = _alert("苏C00001", 0)
SURER = replace(
    RAISED, alert_id="5" * 32, step=2, severity="critical", confidence=0.995,
    detected_at=f"{NOW:%FT}11:00:00.000+08:00",
)  # fmt: skip
BARE = _alert("苏C00002", 5)


@pytest.fixture(scope="module")
def stores(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("dimension")
    wipe(stack)
    store_gates(stack, folder)
    store_alerts(stack, [RAISED, SURER, BARE])
    for one in (RAISED, SURER):
        store_tracks(stack, one, tracks(one))
    yield stack
    wipe(stack)


def path_of(name: str) -> str:
    return f"/api/warnings/{name}/evidence"


def test_a_case_shows_its_newest_step_and_an_alert_itself(stores: Settings) -> None:
    client = api_client(stores)
    newest, first = (client.get(path_of(name)) for name in (SURER.case_id, RAISED.alert_id))
    for answer, shown in ((newest, SURER), (first, RAISED)):
        assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<code>{shown.alert_id}</code>" in answer.text
        assert "1,234 次历史行程" in answer.text and "案件经过" in answer.text and "更可信" in answer.text
        assert answer.text.count("本页 this page") == 1
        # The gates are where the table says.
        assert answer.text.count("<svg") == 2 and "卡口坐标未知" not in answer.text
    assert "99.5%" in newest.text and newest.text != first.text


def test_the_page_may_run_nothing_and_is_kept_by_nobody(stores: Settings) -> None:
    headers = api_client(stores).get(path_of(RAISED.alert_id)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "script-src" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("0" * 32, "unknown-warning"), (BARE.case_id, "no-evidence"), (BARE.alert_id, "no-evidence")],
)
def test_what_is_not_there_is_404_and_says_why(stores: Settings, name: str, problem: str) -> None:
    answer = api_client(stores).get(path_of(name))
    assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{problem}")


def test_without_the_database_it_is_503_and_without_redis_all_is_well(stores: Settings) -> None:
    away = api_client(without(stores, ["endpoint"])).get(path_of(RAISED.alert_id))
    assert (away.status_code, away.json()["type"]) == (503, "/problems/store-down")
    assert api_client(without(stores, ["redis"])).get(path_of(RAISED.alert_id)).status_code == 200


def test_the_command_writes_the_same_page(stores: Settings) -> None:
    shown, page = evidence_of(stores, SURER.case_id)
    assert shown == SURER
    assert page == api_client(stores).get(path_of(SURER.case_id)).text


def test_the_command_says_what_is_not_there(stores: Settings) -> None:
    with pytest.raises(BadInputError, match="No alert and no case has the id"):
        evidence_of(stores, "0" * 32)
    with pytest.raises(BadInputError, match="No alert and no case has the id 苏C00001"):
        evidence_of(stores, "苏C00001")
    with pytest.raises(BadInputError, match=f"No passes are kept with alert {BARE.alert_id}"):
        evidence_of(stores, BARE.case_id)
    with pytest.raises(StorageError, match="dn1 does not answer"):
        evidence_of(without(stores, ["dn1"]), RAISED.alert_id)
