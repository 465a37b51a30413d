"""Each row on its node and on no other, at whichever endpoint.

By default the endpoint and the nodes are those of the test stack. A person who has a real MyCat 1.6.7 checks
it with the same tests:

    1. let MyCat read ``mycat_conf/`` (with the passwords filled in) over two migrated, otherwise quiet nodes;
    2. KAKOU_ENDPOINT_URL=mysql://kakou_writer:PASSWORD@HOST:8066/MYETCDB \\
       KAKOU_NODE_URLS=mysql://kakou_writer:PASSWORD@HOST:3306/traffic_db,mysql://…@HOST:3307/traffic_db \\
       .venv/bin/python -m pytest tests/integration/test_shards_placement.py

``KAKOU_NODE_URLS`` lists the nodes in the order of ``schema.xml``. Only rows whose id begins with
``placement-`` are written, and they are deleted again. A Spider endpoint must know the gates: check it
without a URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pass_rows import ask, clear, insert_rows, pass_row
from sqlalchemy import make_url

from kakou.connections import connect, node_names
from kakou.settings import load_settings
from kakou.sharding import Ring
from kakou.topology import load_topology
from sql.gates import ensure_gates

pytestmark = pytest.mark.integration

PREFIX = "placement-"
GOLDEN = Path(__file__).parent.parent / "data" / "mycat_murmur_golden.tsv"


@dataclass(frozen=True)
class Place:
    """An endpoint, its nodes in ring order, and the ring that must hold."""

    endpoint: Any
    nodes: dict[str, Any]
    ring: Ring


def _open(url: str) -> Any:
    parts = make_url(url)
    return pymysql.connect(
        host=parts.host,
        port=parts.port or 3306,
        user=parts.username,
        password=str(parts.password or ""),
        database=parts.database,
        charset="utf8mb4",
    )


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The place under test; gates that the endpoint must be told of are known to it."""
    ring = load_topology(load_settings().topology_dir).ring
    opener: list[Callable[[], Any]]
    if url := os.environ.get("KAKOU_ENDPOINT_URL"):
        urls = os.environ["KAKOU_NODE_URLS"].split(",")
        assert len(urls) == len(ring.nodes), (
            "KAKOU_NODE_URLS must name every node of schema.xml, in its order"
        )
        opener = [lambda one=one: _open(one) for one in (url, *urls)]
    else:
        stack = request.getfixturevalue("stack")
        ensure_gates(stack, gates())
        opener = [
            lambda name=name: connect(stack, name, "kakou_writer")
            for name in ("endpoint", *node_names(stack))
        ]
    with ExitStack() as opened:
        endpoint, *nodes = [opened.enter_context(one()) for one in opener]
        found = Place(endpoint, dict(zip(ring.nodes, nodes, strict=True)), ring)
        _clear(found)
        yield found
        _clear(found)


@pytest.fixture(autouse=True)
def _clean(place: Place) -> Iterator[None]:
    yield
    _clear(place)


def _clear(place: Place) -> None:
    for node in place.nodes.values():
        clear(node, PREFIX)


def gates() -> list[str]:
    """Gates of the golden file that a column can hold: ASCII, Chinese and four-byte characters."""
    with GOLDEN.open(encoding="utf-8", newline="\n") as lines:
        keys = [line.rstrip("\n").rpartition("\t")[0] for line in lines]
    return list(dict.fromkeys(key for key in keys if key and key == key.strip() and len(key) <= 50))


def rows_by_node(place: Place) -> dict[str, set[tuple[str, str]]]:
    """(id, gate) of the rows of this test on each node."""
    return {
        name: set(ask(node, "SELECT id, kkmc FROM traffic_data WHERE id LIKE %s", PREFIX + "%"))
        for name, node in place.nodes.items()
    }


def wrong_rows(place: Place) -> set[tuple[str, str, str]]:
    """(node, id, gate) of every row that lies where the ring does not put it."""
    return {
        (name, id, gate)
        for name, rows in rows_by_node(place).items()
        for id, gate in rows
        if place.ring.locate(gate) != name
    }


def test_the_gates_are_hard_enough(place: Place) -> None:
    names = gates()
    assert len(names) > 300
    assert {place.ring.locate(name) for name in names} == set(place.ring.nodes)
    assert any(ord(char) > 0xFFFF for name in names for char in name)


def test_a_row_through_the_endpoint_lies_on_its_node_and_on_no_other(place: Place) -> None:
    wanted = {(f"{PREFIX}{n}", gate) for n, gate in enumerate(gates())}
    insert_rows(place.endpoint, [pass_row(id, gate) for id, gate in sorted(wanted)])
    found = rows_by_node(place)
    assert wrong_rows(place) == set()
    assert set.union(*found.values()) == wanted
    assert sum(len(rows) for rows in found.values()) == len(wanted), "a row lies on two nodes"


def test_a_row_written_to_its_node_is_seen_once_through_the_endpoint(place: Place) -> None:
    names = gates()
    for name, node in place.nodes.items():
        own = [(f"{PREFIX}{n}", gate) for n, gate in enumerate(names) if place.ring.locate(gate) == name]
        insert_rows(node, [pass_row(id, gate) for id, gate in own])
    like = "FROM traffic_data WHERE id LIKE %s"
    assert ask(place.endpoint, f"SELECT COUNT(*) {like}", PREFIX + "%") == [(len(names),)]
    each = dict(ask(place.endpoint, f"SELECT kkmc, COUNT(*) {like} GROUP BY kkmc", PREFIX + "%"))
    assert each == dict.fromkeys(names, 1)
    for gate in names:
        asked = ask(
            place.endpoint,
            "SELECT COUNT(*) FROM traffic_data WHERE kkmc = %s AND id LIKE %s",
            gate,
            PREFIX + "%",
        )
        assert asked == [(1,)], gate


def test_an_update_and_a_delete_reach_the_row_and_no_other(place: Place) -> None:
    names = gates()[:40]
    insert_rows(place.endpoint, [pass_row(f"{PREFIX}{n}", gate) for n, gate in enumerate(names)])
    with place.endpoint.cursor() as cursor:
        cursor.execute(
            "UPDATE traffic_data SET xzqhmc = 'x' WHERE kkmc = %s AND id LIKE %s", (names[3], PREFIX + "%")
        )
        cursor.execute("DELETE FROM traffic_data WHERE kkmc = %s AND id LIKE %s", (names[7], PREFIX + "%"))
    place.endpoint.commit()
    left = {
        row for node in place.nodes.values() for row in ask(
            node, "SELECT id, xzqhmc FROM traffic_data WHERE id LIKE %s", PREFIX + "%"
        )
    }  # fmt: skip
    assert left == {(f"{PREFIX}{n}", "x" if n == 3 else "徐州市") for n in range(40) if n != 7}


def test_a_misplaced_row_would_be_noticed(place: Place) -> None:
    gate = gates()[0]
    other = next(name for name in place.ring.nodes if name != place.ring.locate(gate))
    insert_rows(place.nodes[other], [pass_row(PREFIX + "stray", gate)])
    assert wrong_rows(place) == {(other, PREFIX + "stray", gate)}
