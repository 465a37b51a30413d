"""The search over passes that lie on two real nodes, asked through the real endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_client import NOW, api_client
from api_rows import ALIAS, GATES, passage, store_gates, store_passes, wipe
from fastapi.testclient import TestClient

from kakou.fields import COLUMNS_12, TIME_FORMAT
from kakou.settings import Settings

pytestmark = pytest.mark.integration

ODD_PLATES = ("苏C12***", "100%", "1000", "A_B", "AxB", r"A\B", "A'B", r"A\_B")
PLATES = (*(f"苏C{n:05d}" for n in range(40)), *(f"鲁Q{n:05d}" for n in range(20)), *ODD_PLATES)
PASSES = [
    passage(
        f"p{index:04d}",
        GATES[index % len(GATES)][0],
        NOW - timedelta(minutes=7 * index),
        plate,
        hpzl=("02", "01")[index % 2],
        fxlx=str(1 + index % 3),
    )
    for index, plate in enumerate(PLATES)
]


@pytest.fixture(scope="module")
def client(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("dimension")
    wipe(stack)
    store_gates(stack, folder)
    store_passes(stack, PASSES)
    yield api_client(stack)
    wipe(stack)


def found(client: TestClient, **wanted: Any) -> list[str]:
    """Ids of all pages of a search; checks on the way that pages and total agree."""
    ids: list[str] = []
    totals: set[int] = set()
    page = 1
    while True:
        answer = client.post("/api/query", json={"size": 7, "page": page, **wanted})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        ids += [item["gcxh"] for item in body["items"]]
        assert (body["page"], body["size"], body["next_cursor"]) == (page, 7, None)
        totals.add(body["total"])
        if len(body["items"]) < 7:
            assert totals == {len(ids)} and len(set(ids)) == len(ids)
            return ids
        page += 1


def ids_of(*plates: str) -> list[str]:
    return [one.gcxh for one in PASSES if one.hphm in plates]


def test_without_a_filter_everything_of_both_nodes_newest_first(client: TestClient) -> None:
    assert found(client) == [one.gcxh for one in PASSES]


def test_an_item_is_the_12_fields_as_they_were_stored(client: TestClient) -> None:
    item = client.post("/api/query", json={"hphm": "苏C00003"}).json()["items"][0]
    stored = PASSES[3]
    assert tuple(item) == COLUMNS_12
    for name in COLUMNS_12:
        value = getattr(stored, name)
        assert item[name] == (value.strftime(TIME_FORMAT) if name == "gcsj" else value)


def test_a_plate_without_wildcard_is_that_plate_alone(client: TestClient) -> None:
    assert found(client, hphm="苏C00012") == ids_of("苏C00012")
    assert found(client, hphm=" 苏c00012 ") == ids_of("苏C00012")
    assert found(client, hphm="苏C0001") == []


@pytest.mark.parametrize(
    "pattern, plates",
    [
        ("苏C0001*", [f"苏C{n:05d}" for n in range(10, 20)]),
        ("苏C0001?", [f"苏C{n:05d}" for n in range(10, 20)]),
        ("*00007", ["苏C00007", "鲁Q00007"]),
        ("?C0000?", [f"苏C{n:05d}" for n in range(10)]),
        ("苏C＊1？", [f"苏C{n:05d}" for n in range(10, 20)]),
        ("*", PLATES),
        ("苏C12***", ["苏C12***"]),
        ("100%", ["100%"]),
        ("A_*", ["A_B"]),
        ("A?B", ["A_B", "AxB", r"A\B", "A'B"]),
        (r"A\*", [r"A\B", r"A\_B"]),
        (r"A\_*", [r"A\_B"]),
        ("A'*", ["A'B"]),
        (r"A\B", [r"A\B"]),
        ("*'*", ["A'B"]),
    ],
)
def test_wildcards_mean_what_they_say_and_all_else_is_itself(
    client: TestClient, pattern: str, plates: list[str]
) -> None:
    if "x" in "".join(plates) and pattern == "A?B":
        # A person's input is made upper case; what is stored is found as it is.
        assert set(found(client, hphm=pattern)) == set(ids_of(*plates))
    else:
        assert found(client, hphm=pattern) == ids_of(*plates)


@pytest.mark.parametrize("spelling", [GATES[0][0], GATES[0][1], ALIAS])
def test_a_gate_is_found_by_codename_name_and_alias(client: TestClient, spelling: str) -> None:
    assert found(client, kkmc=spelling) == [one.gcxh for one in PASSES if one.kkmc == GATES[0][0]]


def test_an_unknown_gate_is_404(client: TestClient) -> None:
    answer = client.post("/api/query", json={"kkmc": "nowhere' OR '1'='1"})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-gate")


def test_both_ends_of_a_span_are_included_and_all_filters_hold_at_once(client: TestClient) -> None:
    start, end = NOW - timedelta(minutes=7 * 30), NOW - timedelta(minutes=7 * 10)
    wanted = {"start": start.strftime(TIME_FORMAT), "end": end.strftime(TIME_FORMAT)}
    inside = [one for one in PASSES if start <= one.gcsj <= end]
    assert len(inside) == 21
    assert found(client, **wanted) == [one.gcxh for one in inside]
    both = [one.gcxh for one in inside if one.hpzl == "02" and one.fxlx == "1"]
    assert both and found(client, **wanted, hpzl="02", fxlx="1", hphm="*") == both


def test_a_time_with_an_offset_is_brought_to_the_platforms_zone(client: TestClient) -> None:
    utc = (NOW - timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found(client, start=utc) == [PASSES[0].gcxh]


def test_an_empty_form_is_no_filter(client: TestClient) -> None:
    empty = {"hphm": "", "kkmc": " ", "start": "", "end": "", "hpzl": "", "fxlx": ""}
    assert len(found(client, **empty)) == len(PASSES)


def test_a_page_behind_the_last_is_empty_and_knows_the_total(client: TestClient) -> None:
    body = client.post("/api/query", json={"page": 99, "size": 20}).json()
    assert (body["items"], body["total"]) == ([], len(PASSES))
