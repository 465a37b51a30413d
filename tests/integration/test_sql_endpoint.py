"""Queries through 8066 give what one database with all the rows would give; a node's faults pass."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pass_rows import ask, clear, insert_rows, pass_row

from kakou.connections import connect, node_names
from kakou.settings import Settings
from kakou.stack.supervision import Supervisor
from kakou.topology import load_topology
from sql.endpoint import apply, is_mycat, render
from sql.gates import ensure_gates

pytestmark = pytest.mark.integration

PREFIX = "endpoint-"
GATES = [*(f"EP_Gate_K{n}" for n in range(12)), "EP_卡口🚗", "EP_it's \\ odd"]
PLAIN = "plain_copy"


@dataclass(frozen=True)
class Two:
    """The endpoint, and one ordinary database that holds the same rows: the oracle."""

    endpoint: Any
    plain: Any


@pytest.fixture(scope="module")
def two(stack: Settings) -> Iterator[Two]:
    ensure_gates(stack, GATES)
    seeded = random.Random(7)
    provinces = ["江苏", "安徽", "山东", "河南", "上海"]
    rows = [
        pass_row(
            f"{PREFIX}{n}",
            seeded.choice(GATES),
            f"2024-01-{seeded.randint(10, 16)} {seeded.randint(0, 23):02d}:{seeded.randint(0, 59):02d}:00",
            hphm=f"苏C{seeded.randint(0, 400):05d}",
            province=seeded.choice(provinces),
        )
        for n in range(3000)
    ]
    # Groups that span the nodes: B is the largest of all but on no node.
    ring = load_topology(stack.topology_dir).ring
    one, other = (next(gate for gate in GATES if ring.locate(gate) == node) for node in ring.nodes[:2])
    for gate, province, count in ((one, "A", 400), (one, "B", 399), (other, "B", 399), (other, "C", 400)):
        rows += [
            pass_row(
                f"{PREFIX}{province}{gate}{n}", gate, "2024-01-09 00:00:00", province=province, hphm=province
            )
            for n in range(count)
        ]
    with connect(stack, "endpoint", "root", autocommit=True) as root, root.cursor() as cursor:
        endpoint = connect(stack, "endpoint", "kakou_writer")
        insert_rows(endpoint, rows)
        cursor.execute(f"DROP DATABASE IF EXISTS {PLAIN}")
        cursor.execute(f"CREATE DATABASE {PLAIN}")
        with connect(stack, "dn1", "root") as node:
            definition = ask(node, "SHOW CREATE TABLE traffic_data")[0][1]
        cursor.execute(f"USE {PLAIN}")
        cursor.execute(definition)
        cursor.execute("CREATE TABLE kkmc_info LIKE MYETCDB.kkmc_info")
        plain = connect(stack, "endpoint", "root", database=PLAIN)
        insert_rows(plain, rows)
        for gate in GATES[::2]:
            for database in ("MYETCDB", PLAIN):
                cursor.execute(
                    f"REPLACE INTO {database}.kkmc_info VALUES (%s, %s, '', '', '', '', '', NULL, NULL)",
                    (gate, f"name of {gate}"),
                )
        yield Two(endpoint, plain)
        plain.close()
        cursor.execute(f"DROP DATABASE {PLAIN}")
        for name in node_names(stack):
            with connect(stack, name, "kakou_writer") as node:
                clear(node, PREFIX)
        endpoint.close()
    apply(stack)


SQL = Path(__file__).parent.parent / "data" / "endpoint_queries.sql"
QUERIES = [line for line in SQL.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]


@pytest.mark.parametrize("query", QUERIES)
def test_the_endpoint_answers_as_one_database(two: Two, query: str) -> None:
    wanted = ask(two.plain, query)
    assert ask(two.endpoint, query) == wanted


def test_the_oracle_is_not_empty(two: Two) -> None:
    assert ask(two.plain, "SELECT COUNT(*) FROM traffic_data") == [(4598,)]
    assert ask(two.plain, QUERIES[2]) == [("B", 798)]


def test_a_time_is_stored_and_read_unshifted(two: Two, stack: Settings) -> None:
    id, gate = PREFIX + "time", GATES[0]
    insert_rows(two.endpoint, [pass_row(id, gate, "2024-01-15 00:30:00")])
    home = load_topology(stack.topology_dir).ring.locate(gate)
    with connect(stack, home, "kakou_reader") as node:
        for server in (two.endpoint, node):
            read = ask(
                server, "SELECT DATE_FORMAT(gcsj, '%%Y-%%m-%%d %%H:%%i') FROM traffic_data WHERE id = %s", id
            )
            assert read == [("2024-01-15 00:30",)]
            clear_offset = ask(server, "SELECT @@session.time_zone, TIMEDIFF(NOW(), UTC_TIMESTAMP())")
            assert clear_offset[0][0] == "+08:00"
            assert clear_offset[0][1].total_seconds() == 8 * 3600
    assert ask(
        two.endpoint, "SELECT COUNT(*) FROM traffic_data WHERE id = %s AND gcsj = '2024-01-15 00:30:00'", id
    ) == [(1,)]
    clear(two.endpoint, id)


def test_the_first_row_of_an_id_wins_through_the_endpoint(two: Two) -> None:
    id, gate = PREFIX + "twice", GATES[0]
    first, second = pass_row(id, gate, clppxh="first"), pass_row(id, gate, clppxh="second")
    read = ("SELECT clppxh FROM traffic_data WHERE id = %s", id)
    assert insert_rows(two.endpoint, [first]) == 1
    with pytest.raises(pymysql.IntegrityError):
        insert_rows(two.endpoint, [second])
    two.endpoint.rollback()
    assert insert_rows(two.endpoint, [second], verb="INSERT IGNORE") == 0
    assert ask(two.endpoint, *read) == [("first",)]
    many = [pass_row(f"{id}{n}", gate) for n in range(3)]
    assert insert_rows(two.endpoint, [first, *many, many[0]], verb="INSERT IGNORE") == 3
    insert_rows(two.endpoint, [second], tail="ON DUPLICATE KEY UPDATE clppxh = VALUES(clppxh)")
    assert ask(two.endpoint, *read) == [("second",)]
    clear(two.endpoint, id)


def test_a_roll_up_counts_up_through_the_endpoint(two: Two) -> None:
    statement = (
        "INSERT INTO flow_hourly VALUES (%s, '2024-01-15', 8, '江苏', '小型汽车', %s) "
        "ON DUPLICATE KEY UPDATE n = n + VALUES(n)"
    )
    with two.endpoint.cursor() as cursor:
        cursor.executemany(statement, [(gate, n) for n in (1, 2) for gate in GATES])
        two.endpoint.commit()
        assert ask(two.endpoint, "SELECT COUNT(*), SUM(n) FROM flow_hourly") == [(len(GATES), 3 * len(GATES))]
        cursor.execute("DELETE FROM flow_hourly")
        two.endpoint.commit()


def test_a_row_of_an_unknown_gate_is_refused_loudly(two: Two) -> None:
    with pytest.raises(pymysql.OperationalError, match="no partition"):
        insert_rows(two.endpoint, [pass_row(PREFIX + "lost", "a gate that nobody knows")])
    two.endpoint.rollback()


def test_views_answer_at_the_endpoint_and_on_the_nodes(two: Two, stack: Settings) -> None:
    for server in ("endpoint", *node_names(stack)):
        with connect(stack, server, "kakou_reader") as reader:
            rows = ask(reader, "SELECT COUNT(*) FROM traffic_data")
            assert ask(reader, "SELECT COUNT(*) FROM v_passes") == rows
    with connect(stack, "endpoint", "kakou_reader") as reader:
        named = ask(reader, "SELECT DISTINCT kkmc_name FROM v_passes WHERE kkmc = %s", GATES[0])
        assert named == [(f"name of {GATES[0]}",)]
        assert ask(reader, "SELECT COUNT(*) FROM v_warnings") == [(0,)]


def test_building_again_keeps_every_row(two: Two, stack: Settings) -> None:
    before = ask(two.endpoint, QUERIES[0])
    apply(stack)
    assert ask(two.endpoint, QUERIES[0]) == before


def test_a_lost_endpoint_is_built_from_the_nodes(two: Two, stack: Settings) -> None:
    before = ask(two.endpoint, QUERIES[0])
    with connect(stack, "endpoint", "root", database="", autocommit=True) as root, root.cursor() as cursor:
        cursor.execute("DROP DATABASE MYETCDB")
    apply(stack)
    with connect(stack, "endpoint", "kakou_reader") as reader:
        assert ask(reader, QUERIES[0]) == before


def test_rendered_statements_hold_no_password(stack: Settings) -> None:
    text = render(stack)
    assert "PARTITION BY LIST COLUMNS(`kkmc`)" in text
    assert (stack.secrets_dir / "db_writer").read_text() not in text


def test_a_real_mycat_is_left_alone() -> None:
    class Answering:
        def __init__(self, version: str) -> None:
            self.version = version

        def get_server_info(self) -> str:
            return self.version

    assert is_mycat(Answering("5.6.29-mycat-1.6.7.1-release-20190213150257"))
    assert not is_mycat(Answering("10.11.14-MariaDB-0+deb12u2"))


def test_a_killed_node_is_an_error_in_seconds_and_then_forgotten(two: Two, stack: Settings) -> None:
    read = "SELECT COUNT(*) FROM traffic_data"
    before = ask(two.endpoint, read)
    standing = connect(stack, "endpoint", "kakou_reader", autocommit=True)
    ask(standing, read)
    supervisor = Supervisor(stack)
    os.kill(supervisor.states()["dn1"].pid, signal.SIGKILL)
    began = time.monotonic()
    answer: Any = None
    while time.monotonic() - began < 30:
        try:
            answer = ask(standing, read)
            break
        except pymysql.MySQLError:
            assert time.monotonic() - began < 25
            time.sleep(0.3)
    assert answer == before
    assert ask(two.endpoint, read) == before
    standing.close()
