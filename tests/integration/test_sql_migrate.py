"""Migrations: every node at one revision, each table where it belongs, accounts held short."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pymysql
import pytest
from pass_rows import ask

from kakou.connections import connect, node_names
from kakou.errors import SchemaError, StorageError
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from kakou.topology import load_topology
from serving.__main__ import _compare_schema
from sql.migrate import demand_newest, heads, migrate, newest

pytestmark = pytest.mark.integration


def tables_on(settings: Settings, node: str) -> set[str]:
    with connect(settings, node, "root") as server:
        return {row[0] for row in ask(server, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")}


def test_every_node_is_at_the_newest_revision(stack: Settings) -> None:
    assert heads(stack) == dict.fromkeys(node_names(stack), newest())


def test_single_tables_live_on_their_node_and_on_no_other(stack: Settings) -> None:
    topology = load_topology(stack.topology_dir)
    everywhere = {
        *topology.sharded,
        *topology.global_,
        "batch_ledger",
        "duplicate_records",
        "rejected_records",
        "closed_days",
        "alembic_version",
    }
    for node in node_names(stack):
        own = {table for table, home in topology.single.items() if home == node}
        assert tables_on(stack, node) == everywhere | own


def test_it_may_run_again_and_twice_at_once(stack: Settings) -> None:
    found: list[str | BaseException] = []

    def run() -> None:
        try:
            found.append(migrate(stack))
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [newest()] * 3


def test_a_half_made_schema_is_completed(stack: Settings) -> None:
    # As after a kill between two statements: a table is there, the revision is not noted, another is missing.
    node = node_names(stack)[-1]
    with connect(stack, node, "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("DELETE FROM alembic_version")
        cursor.execute("DROP TABLE duplicate_records")
    assert heads(stack)[node] is None
    assert migrate(stack) == newest()
    assert "duplicate_records" in tables_on(stack, node)


def test_nodes_that_differ_are_named(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.migrate.heads", lambda _: {"dn1": "0001", "dn2": None})
    with pytest.raises(StorageError, match="dn1 at 0001, dn2 at nothing"):
        migrate(stack)


def test_a_node_that_is_away_is_named(stack: Settings) -> None:
    away = stack.model_copy(update={"port_offset": stack.port_offset + 7})
    with pytest.raises(StorageError, match=rf"dn1 \(port {away.port('dn1')}\)"):
        migrate(away)


@pytest.fixture
def heads_to_break(stack: Settings) -> Iterator[Settings]:
    yield stack
    for node in node_names(stack):
        put_head(stack, node, newest())


def put_head(settings: Settings, node: str, revision: str | None) -> None:
    with connect(settings, node, "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("DELETE FROM alembic_version")
        if revision:
            cursor.execute("INSERT INTO alembic_version VALUES (%s)", (revision,))


def test_equal_heads_are_let_through(stack: Settings) -> None:
    demand_newest(stack)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("0001", "0001", "dn1 at 0001, dn2 at 0001. Run `kakou up`"),
        ("newest", "0001", "dn1 at {newest}, dn2 at 0001. Run `kakou up`"),
        (None, "newest", "dn1 at nothing, dn2 at {newest}. Run `kakou up`"),
        ("newest", "9999", "dn1 at {newest}, dn2 at 9999. dn2 is newer than this code: update the code"),
        ("9999", "9999", "dn1 at 9999, dn2 at 9999. dn1 and dn2 are newer than this code"),
        ("0001", "9999", "dn1 at 0001, dn2 at 9999. dn2 is newer than this code"),
    ],
)
def test_other_heads_are_named_with_what_to_run(
    heads_to_break: Settings, first: str | None, second: str | None, words: str
) -> None:
    for node, head in zip(node_names(heads_to_break), (first, second), strict=True):
        put_head(heads_to_break, node, newest() if head == "newest" else head)
    with pytest.raises(SchemaError) as refused:
        demand_newest(heads_to_break)
    assert f"needs schema {newest()}, but {words.format(newest=newest())}" in str(refused.value)


def test_a_node_that_was_never_migrated_is_no_traceback(heads_to_break: Settings) -> None:
    node = node_names(heads_to_break)[0]
    with connect(heads_to_break, node, "root", autocommit=True) as server, server.cursor() as cursor:
        cursor.execute("RENAME TABLE alembic_version TO put_away")
        try:
            with pytest.raises(SchemaError, match="dn1 at nothing"):
                demand_newest(heads_to_break)
        finally:
            cursor.execute("RENAME TABLE put_away TO alembic_version")


def test_a_node_that_is_away_is_no_schema_that_differs(stack: Settings) -> None:
    away = stack.model_copy(update={"port_offset": stack.port_offset + 7})
    with pytest.raises(StorageError, match=rf"dn1 \(port {away.port('dn1')}\)") as refused:
        demand_newest(away)
    assert not isinstance(refused.value, SchemaError)


def test_the_api_starts_though_a_node_is_away(stack: Settings) -> None:
    _compare_schema(stack.model_copy(update={"port_offset": stack.port_offset + 7}))


def test_the_api_refuses_another_schema_in_one_sentence(heads_to_break: Settings) -> None:
    put_head(heads_to_break, "dn2", "9999")
    # Its own process, as the refusal is at the process's door, before any port is taken.
    ended = subprocess.run(
        [sys.executable, "-m", "serving"],
        env=child_environment(heads_to_break),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("kakou: This code needs schema") and "Traceback" not in ended.stderr


@pytest.mark.parametrize("server", ["dn1", "dn2", "endpoint"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO kkmc_info (kkmc) VALUES ('x')",
        "DELETE FROM traffic_data",
        "UPDATE traffic_data SET fxlx = '9'",
        "TRUNCATE TABLE traffic_data",
        "DROP TABLE traffic_data",
        "CREATE TABLE t (a INT)",
        "SELECT * FROM users",
    ],
)
def test_the_reader_can_only_read(stack: Settings, server: str, statement: str) -> None:
    with connect(stack, server, "kakou_reader") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM traffic_data")
        with pytest.raises(pymysql.OperationalError, match="denied"):
            cursor.execute(statement)


@pytest.mark.parametrize("server", ["dn1", "endpoint"])
@pytest.mark.parametrize(
    "statement", ["TRUNCATE TABLE traffic_data", "DROP TABLE flow_hourly", "CREATE DATABASE x"]
)
def test_the_writer_cannot_change_the_schema(stack: Settings, server: str, statement: str) -> None:
    refused = pytest.raises(pymysql.OperationalError, match="denied")
    with connect(stack, server, "kakou_writer") as connection, connection.cursor() as cursor, refused:
        cursor.execute(statement)


def test_the_writer_leaves_global_tables_to_load_gates(stack: Settings) -> None:
    refused = pytest.raises(pymysql.OperationalError, match="denied")
    with connect(stack, "endpoint", "kakou_writer") as connection, connection.cursor() as cursor, refused:
        cursor.execute("DELETE FROM kkmc_info")
