"""What downstream apps rely on: accounts, views and tables as docs/downstream.md says, and nothing beyond."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest
from columns import columns_of, listed
from downstream_page import tables, views, word

from kakou.connections import connect, database_of, node_names
from kakou.settings import Settings
from kakou.topology import load_topology
from sql import endpoint
from sql.migrate import migrate

pytestmark = pytest.mark.integration
SERVERS = ("endpoint", "dn1", "dn2")
REFUSED = ("users", "audit")
TABLES_FILE = Path(__file__).with_name("tables.tsv")


def tables_in_file() -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    with TABLES_FILE.open(encoding="utf-8", newline="") as file:
        for table, *column in csv.reader(file, delimiter="\t"):
            found[table].append(tuple(column))
    return {table: tuple(columns) for table, columns in found.items()}


def documented_tables(server: str) -> set[str]:
    """Tables that the page lets a reader read on that server."""
    cell = 1 if server == "endpoint" else 2
    return {word(row[0]) for row in tables()["Tables"] if row[cell] in ("yes", server)}


def views_on(settings: Settings, server: str) -> set[str]:
    """Views whose tables are there: on dn2 those of dn1's own tables are missing."""
    single = {"v_warnings": "warnings", "v_forecast": "flow_forecast"}
    home = load_topology(settings.topology_dir).single
    return {v for v in views() if server == "endpoint" or home.get(single.get(v, ""), server) == server}


@pytest.mark.parametrize("server", SERVERS)
def test_the_views_are_those_of_the_page(stack: Settings, server: str) -> None:
    assert listed(stack, server, "VIEW") == views_on(stack, server)
    assert len(views()) == 4


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("view", views())
def test_columns_types_collations_and_nulls_of_a_view(stack: Settings, server: str, view: str) -> None:
    if view in views_on(stack, server):
        assert columns_of(stack, server, view) == views()[view]


@pytest.mark.parametrize("server", SERVERS)
def test_columns_types_collations_and_nulls_of_the_tables(stack: Settings, server: str) -> None:
    wanted = tables_in_file()
    for table in documented_tables(server) - {"alembic_version"}:
        assert columns_of(stack, server, table) == wanted[table], table


def test_the_file_of_tables_names_no_other(stack: Settings) -> None:
    every = {table for server in SERVERS for table in documented_tables(server)}
    assert set(tables_in_file()) == every - {"alembic_version"}


@pytest.mark.parametrize("server", SERVERS)
def test_the_reader_may_read_what_the_page_names_and_nothing_else(stack: Settings, server: str) -> None:
    allowed = documented_tables(server) | views_on(stack, server)
    schema = database_of(server)
    with connect(stack, server, "kakou_reader") as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS FOR CURRENT_USER")
        grants = [re.sub(r" IDENTIFIED BY .*", "", row[0]) for row in cursor.fetchall()]
        who = f"TO `kakou_reader`@`{stack.host}`"
        assert {one for one in grants if "USAGE" not in one} == {
            f"GRANT SELECT ON `{schema}`.`{name}` {who}" for name in allowed
        }
        assert [one for one in grants if "USAGE" in one] == [f"GRANT USAGE ON *.* {who}"]
        for name in sorted(allowed):
            cursor.execute(f"SELECT * FROM `{name}` LIMIT 1")
        for name in sorted((listed(stack, server, "BASE TABLE") | set(REFUSED)) - allowed):
            with pytest.raises(pymysql.OperationalError, match="denied"):
                cursor.execute(f"SELECT * FROM `{name}` LIMIT 1")


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} VALUES ()", "DELETE FROM {}", "UPDATE {} SET {} = {}", "TRUNCATE TABLE {}",
        "DROP TABLE {}",
        "ALTER TABLE {} ADD COLUMN x INT", "CREATE INDEX x ON {} ({})", "LOCK TABLES {} WRITE",
        "LOAD DATA LOCAL INFILE '/dev/null' INTO TABLE {}",
    ],
)  # fmt: skip
def test_the_reader_can_write_no_table_and_no_view(stack: Settings, server: str, statement: str) -> None:
    names = {"kkmc_info": "name"} | {view: rows[0][0] for view, rows in views().items()}
    here = views_on(stack, server) | {"kkmc_info"}
    with (
        connect(stack, server, "kakou_reader", local_infile=True) as connection,
        connection.cursor() as cursor,
    ):
        for name in sorted(here):
            with pytest.raises(pymysql.MySQLError, match=r"denied|command denied"):
                cursor.execute(statement.format(name, names[name], names[name]))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE made (a INT)", "CREATE TEMPORARY TABLE made (a INT)", "CREATE VIEW made AS SELECT 1",
        "CREATE DATABASE made", "CREATE USER made", "SELECT * FROM mysql.user", "SET GLOBAL read_only = 1",
        "SELECT 1 INTO OUTFILE '/tmp/made'", "SELECT LOAD_FILE('/etc/passwd') IS NOT NULL",
        "SHUTDOWN",
    ],
)  # fmt: skip
def test_the_reader_can_make_and_govern_nothing(stack: Settings, server: str, statement: str) -> None:
    with connect(stack, server, "kakou_reader") as connection, connection.cursor() as cursor:
        if "LOAD_FILE" in statement:
            cursor.execute(statement)
            assert cursor.fetchone() == (0,)  # without the right it answers NULL
            return
        with pytest.raises(pymysql.OperationalError, match="denied"):
            cursor.execute(statement)


@pytest.fixture
def further_hosts(stack: Settings) -> Iterator[Settings]:
    yield stack.model_copy(update={"reader_hosts": "10.1.2.%, 10.9.9.9"})
    migrate(stack)
    endpoint.apply(stack)


def test_apps_on_other_machines_get_the_same_rights_and_lose_them_again(
    stack: Settings, further_hosts: Settings
) -> None:
    migrate(further_hosts)
    endpoint.apply(further_hosts)
    for server in SERVERS:
        assert hosts(stack, server, "kakou_reader") == {stack.host, "10.1.2.%", "10.9.9.9"}
        assert hosts(stack, server, "kakou_writer") == {stack.host}
        own, *others = [grants_of(stack, server, host) for host in (stack.host, "10.1.2.%", "10.9.9.9")]
        assert own and others == [own, own]
    migrate(stack)
    endpoint.apply(stack)
    for server in SERVERS:
        assert hosts(stack, server, "kakou_reader") == {stack.host}


def hosts(settings: Settings, server: str, account: str) -> set[str]:
    return {
        str(row[0])
        for row in _as_root(settings, server, "SELECT Host FROM mysql.user WHERE User = %s", account)
    }


def grants_of(settings: Settings, server: str, host: str) -> set[str]:
    rows = _as_root(settings, server, "SHOW GRANTS FOR %s@%s", "kakou_reader", host)
    return {str(row[0]).partition(" TO ")[0] for row in rows}


def _as_root(settings: Settings, server: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(settings, server, "root") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def test_views_answer_alike_on_the_nodes_together_and_at_the_endpoint(stack: Settings) -> None:
    for view in views():
        there = [n for n in node_names(stack) if view in views_on(stack, n)]
        on_nodes = sum(_as_root(stack, node, f"SELECT COUNT(*) FROM {view}")[0][0] for node in there)
        assert _as_root(stack, "endpoint", f"SELECT COUNT(*) FROM {view}") == [(on_nodes,)]
