"""Edge: builds the logical schema at the local 8066 endpoint from ``mycat_conf/`` and the nodes.

A real MyCat reads ``mycat_conf/`` itself, so there ``apply`` has nothing to do and does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pymysql

from kakou.connections import NODE_DATABASE, connect
from kakou.errors import StorageError
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.topology import Topology, load_topology
from sql import staying
from sql.migrate import WRITER_RIGHTS, create_account, grant_reader, take_lock
from sql.spider import (
    gate_key,
    over_tls,
    placeholder,
    quote,
    read_links,
    read_partitions,
    sharded_table,
    single_table,
)
from sql.views import create_views

LOCK: Final = "kakou_endpoint"
RENAME_WAIT_S: Final = 2
RENAME_PAUSE_S: Final = 0.5
RENAME_TRIES: Final = 16
LOCK_WAIT_TIMEOUT: Final = 1205
# What people say is added to and never changed; what is said of a warning needs the warning. Nothing reads
# users and audit yet, so password hashes and who looked at what are not to be read. As mycat_conf/server.xml.
REVIEWER_RIGHTS: Final = {
    "reviews": ("SELECT", "INSERT"),
    "users": ("INSERT",),
    "audit": ("INSERT",),
    "warnings": ("SELECT",),
}
PASSWORD_SHOWN: Final = "<db_writer>"  # noqa: S105 - what `render` shows instead of the password


def apply(settings: Settings) -> None:
    """Builds or renews schema ``MYETCDB`` at the endpoint: links, tables, views, accounts and rights.

    It may run at any time and beside readers: each table is built under another name and then swapped in by
    one RENAME, so a reader sees the old one or the new one. Nothing on a node is touched.

    Raises:
        StorageError: the endpoint or a node is away or refuses.
    """
    with rebuilding(settings) as cursor:
        if cursor is not None:
            build(settings, cursor)


@contextmanager
def rebuilding(settings: Settings) -> Iterator[Any]:
    """A cursor that holds the lock of the endpoint, so that nobody else renews a table; None at a real MyCat.

    Raises:
        StorageError: the endpoint or a node is away or refuses, here or in the block.
    """
    try:
        server = connect(settings, "endpoint", "root", database="", autocommit=True)
        with server, server.cursor() as cursor:
            if is_mycat(server):
                yield None
                return
            take_lock(cursor, LOCK, "another rebuild of the endpoint")
            yield cursor
            cursor.execute("SELECT RELEASE_LOCK(%s)", (LOCK,))
    except pymysql.MySQLError as error:
        raise StorageError(
            f"The endpoint (port {settings.port('endpoint')}) could not be built: {error.args[-1]}. "
            "See `kakou logs endpoint`, then run `kakou up` again."
        ) from error


def build(settings: Settings, cursor: Any, *, whole_tables: bool = False) -> float:
    """``apply`` for a caller that holds the lock.

    Args:
        whole_tables: link to the tables themselves even where a node has a view of what stays on it.

    Returns:
        for how many seconds readers of the sharded tables had to wait.
    """
    topology = load_topology(settings.topology_dir)
    cursor.execute(
        f"CREATE DATABASE IF NOT EXISTS `{topology.schema}` "
        "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
    )
    cursor.execute(f"USE `{topology.schema}`")
    for statement in _servers(settings, topology):
        cursor.execute(statement)
    gates = rendered_gates(cursor, topology) | gates_on_nodes(settings, topology)
    links = {} if whole_tables else staying.links(settings, topology)
    waited = swap_in(cursor, _tables(_definitions(settings, topology), topology, gates, links))
    for table in topology.global_:
        copy_global(settings, cursor, topology, table)
    cursor.execute("FLUSH TABLES")  # Spider keeps a link's address and password with an open table
    _accounts(settings, cursor, topology, create_views(cursor))
    return waited


def render(settings: Settings) -> str:
    """The statements of links and tables that ``apply`` runs, for a person to read; without the password."""
    topology = load_topology(settings.topology_dir)
    definitions, gates = _definitions(settings, topology), gates_on_nodes(settings, topology)
    tables = _tables(definitions, topology, gates, staying.links(settings, topology))
    statements = [*_servers(settings, topology, PASSWORD_SHOWN), *tables.values()]
    return ";\n\n".join(statements) + ";\n"


def is_mycat(connection: Any) -> bool:
    """Whether a real MyCat answers; its version reads like ``5.6.29-mycat-1.6.7.1-release``."""
    return "mycat" in str(connection.get_server_info()).lower()


def rendered_gates(cursor: Any, topology: Topology) -> set[str]:
    """The gates in the partitions of every sharded table; empty where the endpoint was not built yet.

    Read from SHOW CREATE TABLE: information_schema asks the nodes, and answers nothing while one is away.
    """
    present = _present(cursor)
    if not present.issuperset(topology.sharded):
        return set()
    found = [set(read_partitions(_show_create(cursor, table))) for table in topology.sharded]
    return set.intersection(*found) - {placeholder(node.name) for node in topology.nodes}


def gates_on_nodes(settings: Settings, topology: Topology) -> set[str]:
    """Every gate that a node knows or has rows of, so that a lost endpoint can be built again."""
    column = topology.column
    gates: set[str] = set()
    for node in topology.nodes:
        server = connect(settings, node.name, "root")
        with server, server.cursor() as cursor:
            for table in (*topology.sharded, *topology.global_):
                cursor.execute(f"SELECT DISTINCT `{column}` FROM `{table}`")  # noqa: S608 - names of mycat_conf/
                gates.update(str(row[0]) for row in cursor.fetchall())
    return gates


def add_gates(cursor: Any, topology: Topology, gates: Iterable[str]) -> None:
    """Renders the sharded tables again with ``gates``; the caller holds ``LOCK``. No node is asked."""
    definitions = {table: _show_create(cursor, table) for table in topology.sharded}
    links = {table: read_links(shown) for table, shown in definitions.items()}
    swap_in(cursor, _tables(definitions, topology, gates, links))


def links_every_node(cursor: Any, topology: Topology) -> bool:
    """Whether the endpoint was built for the nodes of ``topology`` and no others."""
    names = {node.name for node in topology.nodes}
    return all(read_links(_show_create(cursor, table)).keys() == names for table in topology.sharded)


def missing_gates(names: Iterable[str], rendered: Iterable[str], max_chars: int) -> set[str]:
    """Those of ``names`` that must be added: no row can hold a longer name, trailing blanks do not count."""
    known = {gate_key(gate) for gate in rendered}
    return {name for name in names if len(name) <= max_chars and gate_key(name) not in known}


def swap_in(cursor: Any, tables: Mapping[str, str]) -> float:
    """Creates each table beside the old one and swaps all of them at once; returns the seconds of that."""
    cursor.execute("SELECT @@ssl_ca")  # an endpoint that speaks TLS has one, and its nodes then demand TLS
    authority = cursor.fetchone()[0]
    for table, statement in tables.items():
        _create_beside(cursor, table, over_tls(statement, authority) if authority else statement)
    return _swap(cursor, tables)


def copy_global(settings: Settings, cursor: Any, topology: Topology, table: str) -> None:
    """Copies a global table from the first node.

    MyCat reads a global table from whichever node a join runs on. Here it is a local copy: through a link a
    join of 60,000 passes took one query per row (1-5 s instead of 80 ms), and linked to two nodes it would be
    doubled.
    """
    source = connect(settings, topology.nodes[0].name, "root")
    with source, source.cursor() as rows:
        definition = _show_create(rows, table)
        rows.execute(f"SELECT * FROM `{table}`")  # noqa: S608 - a name of mycat_conf/
        width = len(rows.description or ())
        values = list(rows.fetchall())
    _create_beside(cursor, table, definition)
    marks = ", ".join(["%s"] * width)
    cursor.executemany(f"INSERT INTO `{table}__new` VALUES ({marks})", values)  # noqa: S608
    _swap(cursor, (table,))


def _create_beside(cursor: Any, table: str, statement: str) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS `{table}__new`, `{table}__old`")
    cursor.execute(statement.replace(f"CREATE TABLE `{table}`", f"CREATE TABLE `{table}__new`", 1))


def _swap(cursor: Any, tables: Iterable[str]) -> float:
    present = _present(cursor)
    pairs = []
    for table in tables:
        if table in present:
            pairs.append(f"`{table}` TO `{table}__old`")
        pairs.append(f"`{table}__new` TO `{table}`")
    waited = _rename(cursor, pairs)
    for table in tables:
        cursor.execute(f"DROP TABLE IF EXISTS `{table}__old`")  # of a Spider table: the link and no row
    return waited


def _rename(cursor: Any, pairs: Iterable[str]) -> float:
    """Renames as soon as no transaction uses the tables; returns the longest that others waited, in s.

    While RENAME waits for one that does, everybody else waits behind it. So it waits briefly, steps back for
    the others and tries again; the endpoint ends transactions that idle (``idle-transaction-timeout``).
    """
    cursor.execute("SET SESSION lock_wait_timeout = %s", (RENAME_WAIT_S,))
    longest = 0.0
    for _ in range(RENAME_TRIES):
        began = time.monotonic()
        try:
            cursor.execute("RENAME TABLE " + ", ".join(pairs))
            return max(longest, time.monotonic() - began)
        except pymysql.OperationalError as error:
            if error.args[0] != LOCK_WAIT_TIMEOUT:
                raise
        longest = max(longest, time.monotonic() - began)
        time.sleep(RENAME_PAUSE_S)
    raise StorageError(
        "Somebody keeps a transaction open at the endpoint, so its tables cannot be renewed. "
        "End that transaction (SHOW PROCESSLIST at the endpoint shows it), then run the command again."
    )


def _servers(settings: Settings, topology: Topology, password: str | None = None) -> list[str]:
    shown = password or secret(settings, "db_writer").get_secret_value()
    return [
        f"CREATE OR REPLACE SERVER `{node.name}` FOREIGN DATA WRAPPER mysql OPTIONS "
        f"(HOST {quote(settings.host)}, PORT {settings.port(node.name)}, DATABASE {quote(NODE_DATABASE)}, "
        f"USER 'kakou_writer', PASSWORD {quote(shown)})"
        for node in topology.nodes
    ]


def _present(cursor: Any) -> set[str]:
    cursor.execute("SHOW TABLES")
    return {str(row[0]) for row in cursor.fetchall()}


def _show_create(cursor: Any, table: str) -> str:
    cursor.execute(f"SHOW CREATE TABLE `{table}`")
    return str(cursor.fetchone()[1])


def _definitions(settings: Settings, topology: Topology) -> dict[str, str]:
    """How the nodes define the tables that the endpoint links to; so a migration needs no second text."""
    first = topology.nodes[0].name
    found = {}
    for table in (*topology.sharded, *topology.single):
        server = connect(settings, topology.single.get(table, first), "root")
        with server, server.cursor() as cursor:
            found[table] = _show_create(cursor, table)
    return found


def _tables(
    definitions: Mapping[str, str],
    topology: Topology,
    gates: Iterable[str],
    links: Mapping[str, Mapping[str, str]],
) -> dict[str, str]:
    """The statements; ``links`` says for a table what single nodes call it."""
    kept = set(gates)
    return {
        table: single_table(table, shown, topology.single[table], table)
        if table in topology.single
        else sharded_table(table, shown, topology.ring, topology.column, kept, table, links.get(table))
        for table, shown in definitions.items()
    }


def _accounts(settings: Settings, cursor: Any, topology: Topology, views: Iterable[str]) -> None:
    """The reader reads. The writer writes, but no global table: that would reach one copy of three. The
    reviewer adds to what people say.
    """
    create_account(settings, cursor, "kakou_writer", "db_writer")
    create_account(settings, cursor, "kakou_reader", "db_reader")
    create_account(settings, cursor, "kakou_reviewer", "db_reviewer")
    writable = (*topology.sharded, *topology.single)
    readable = (*topology.global_, *views)
    for names, rights in ((writable, WRITER_RIGHTS), (readable, "SELECT")):
        for name in names:
            cursor.execute(
                f"GRANT {rights} ON `{topology.schema}`.`{name}` TO 'kakou_writer'@'{settings.host}'"
            )
    _let_review(settings, cursor, topology.schema)
    grant_reader(settings, cursor, topology.schema, (*writable, *readable))


def _let_review(settings: Settings, cursor: Any, schema: str) -> None:
    """Gives the reviewer its rights, and takes those that an older version gave."""
    account = f"'kakou_reviewer'@'{settings.host}'"
    for table, rights in REVIEWER_RIGHTS.items():
        cursor.execute(f"GRANT {', '.join(rights)} ON `{schema}`.`{table}` TO {account}")
    cursor.execute(
        "SELECT table_name, privilege_type FROM information_schema.table_privileges "
        "WHERE grantee = %s AND table_schema = %s",
        (account, schema),
    )
    for table, right in cursor.fetchall():
        if right not in REVIEWER_RIGHTS.get(table, ()):
            cursor.execute(f"REVOKE {right} ON `{schema}`.`{table}` FROM {account}")
