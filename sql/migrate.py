"""Brings every node of the topology to the newest schema, with its accounts.

Runs as ``root``. It may be run again at any time, and by two processes at once: a lock on each node makes the
second one wait and then find nothing to do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pymysql
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from kakou.connections import NODE_DATABASE, connect, database_url
from kakou.errors import SchemaError, StorageError
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.topology import Topology, load_topology
from sql.views import create_views

MIGRATIONS: Final = Path(__file__).resolve().parent / "migrations"
LOCK: Final = "kakou_migrate"
LOCK_SECONDS: Final = 60
WRITER_RIGHTS: Final = "SELECT, INSERT, UPDATE, DELETE"
# The endpoint's links are the writer's; for a lookup of many keys Spider fills a temporary table on the node.
LINK_RIGHTS: Final = f"{WRITER_RIGHTS}, CREATE TEMPORARY TABLES"
# Who may read passes need not read password hashes or who looked at what.
NOT_FOR_READER: Final = frozenset({"users", "audit"})
ASK_SECONDS: Final = 3
# Database or table missing, or not granted to the reader yet: no `kakou up` of this code has been here.
_NOT_MIGRATED: Final = frozenset({1044, 1049, 1142, 1146})

_ALEMBIC: Final = threading.Lock()  # alembic keeps the running migration in a global of the process


def migrate(settings: Settings) -> str:
    """Creates accounts, ``traffic_db`` and all tables on each node, and returns the revision they share.

    Raises:
        StorageError: a node is away, a migration failed, or the nodes end at different revisions.
    """
    topology = load_topology(settings.topology_dir)
    for node in topology.nodes:
        try:
            _migrate_node(settings, topology, node.name)
        except pymysql.MySQLError as error:
            raise StorageError(
                f"{node.name} (port {settings.port(node.name)}) could not be migrated: {error.args[-1]}. "
                f"See `kakou logs {node.name}`, then run the command again."
            ) from error
    return _one_head(heads(settings))


def heads(settings: Settings) -> dict[str, str | None]:
    """The revision that each node is at; None where no migration ran yet."""
    found: dict[str, str | None] = {}
    for node in load_topology(settings.topology_dir).nodes:
        engine = create_engine(database_url(settings, node.name, "root"))
        try:
            with engine.connect() as connection:
                found[node.name] = MigrationContext.configure(connection).get_current_revision()
        finally:
            engine.dispose()
    return found


def newest() -> str | None:
    """The newest revision that the code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def demand_newest(settings: Settings) -> None:
    """Compares each node's revision with the newest that the code knows; one query per node, as the reader.

    Whoever writes or deletes calls it when it starts: better one sentence now than a statement that fails
    half way through the night.

    Raises:
        SchemaError: a node is older or newer than the code; the message names each and what to run.
        StorageError: a node is away, so nobody knows.
    """
    scripts = ScriptDirectory.from_config(_config())
    wanted = scripts.get_current_head()
    found = {node.name: _head(settings, node.name) for node in load_topology(settings.topology_dir).nodes}
    if set(found.values()) == {wanted}:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    newer = sorted(node for node, revision in found.items() if revision not in known | {None})
    mend = (
        f"{' and '.join(newer)} {'is' if len(newer) == 1 else 'are'} newer than this code: "
        "update the code and run `make install`; a node never goes back."
        if newer
        else "Run `kakou up`, which brings every node to the newest schema."
    )
    raise SchemaError(f"This code needs schema {wanted}, but {_listed(found)}. {mend}")


def _head(settings: Settings, node: str) -> str | None:
    """The revision of one node; None where no migration of this code ran."""
    try:
        server = connect(
            settings, node, "kakou_reader", connect_timeout=ASK_SECONDS, read_timeout=ASK_SECONDS
        )
        with server, server.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return None if row is None else str(row[0])
    except pymysql.MySQLError as error:
        if error.args[0] in _NOT_MIGRATED:
            return None
        raise StorageError(
            f"{node} (port {settings.port(node)}) could not be asked for its schema: {error.args[-1]}. "
            "See `kakou status`."
        ) from error


def _one_head(found: dict[str, str | None]) -> str:
    revisions = set(found.values())
    if len(revisions) != 1 or None in revisions:
        raise StorageError(
            f"The nodes differ in their schema: {_listed(found)}. "
            f"Run `kakou up` again until all are at {newest()}."
        )
    return str(revisions.pop())


def _listed(found: dict[str, str | None]) -> str:
    return ", ".join(f"{name} at {revision or 'nothing'}" for name, revision in sorted(found.items()))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _migrate_node(settings: Settings, topology: Topology, node: str) -> None:
    server = connect(settings, node, "root", database="", autocommit=True)
    with server, server.cursor() as cursor:
        take_lock(cursor, LOCK, f"another migration of {node}")
        cursor.execute(
            f"CREATE DATABASE IF NOT EXISTS {NODE_DATABASE} "
            "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
        )
        create_account(settings, cursor, "kakou_writer", "db_writer")
        create_account(settings, cursor, "kakou_reader", "db_reader")
        _upgrade(settings, topology, node)
        cursor.execute(f"USE {NODE_DATABASE}")
        create_views(cursor)
        cursor.execute("SHOW TABLES")
        tables = [str(row[0]) for row in cursor.fetchall()]
        cursor.execute(f"GRANT {LINK_RIGHTS} ON {NODE_DATABASE}.* TO 'kakou_writer'@'{settings.host}'")
        grant_reader(settings, cursor, NODE_DATABASE, tables)
        cursor.execute("SELECT RELEASE_LOCK(%s)", (LOCK,))


def _upgrade(settings: Settings, topology: Topology, node: str) -> None:
    config = _config()
    engine = create_engine(database_url(settings, node, "root"))
    try:
        with _ALEMBIC, engine.connect() as connection:
            config.attributes["connection"] = connection
            config.attributes["holds"] = lambda table: topology.single.get(table, node) == node
            command.upgrade(config, "head")
            connection.execute(text("COMMIT"))
    finally:
        engine.dispose()


def create_account(settings: Settings, cursor: Any, account: str, secret_name: str) -> None:
    """Makes ``account``, or sets its secret again where it exists.

    It may come from our own host alone; the reader also from the hosts of the setting ``reader_hosts``, and
    one that is no longer named there loses its account.
    """
    password = secret(settings, secret_name).get_secret_value()
    hosts = _hosts_of(settings, account)
    for host in hosts:
        cursor.execute("CREATE USER IF NOT EXISTS %s@%s IDENTIFIED BY %s", (account, host, password))
        cursor.execute("ALTER USER %s@%s IDENTIFIED BY %s", (account, host, password))
    if account == "kakou_reader":
        cursor.execute("SELECT Host FROM mysql.user WHERE User = %s", (account,))
        for host in {str(row[0]) for row in cursor.fetchall()} - set(hosts):
            cursor.execute("DROP USER %s@%s", (account, host))


def grant_reader(settings: Settings, cursor: Any, database: str, tables: Iterable[str]) -> None:
    """Lets ``kakou_reader`` read ``tables``, except those that are none of a reader's business."""
    for table in tables:
        if table not in NOT_FOR_READER:
            for host in _hosts_of(settings, "kakou_reader"):
                cursor.execute(f"GRANT SELECT ON `{database}`.`{table}` TO %s@%s", ("kakou_reader", host))


def _hosts_of(settings: Settings, account: str) -> tuple[str, ...]:
    further = settings.reader_hosts.split(",") if account == "kakou_reader" else ()
    return (settings.host, *(host.strip() for host in further if host.strip()))


def take_lock(cursor: Any, name: str, holder: str) -> None:
    """Waits for the server-wide lock ``name``; it ends with the connection at the latest.

    Raises:
        StorageError: it was not free within ``LOCK_SECONDS``.
    """
    cursor.execute("SELECT GET_LOCK(%s, %s)", (name, LOCK_SECONDS))
    if cursor.fetchone()[0] != 1:
        raise StorageError(f"Waited {LOCK_SECONDS} s for {holder} to end. Run the command again.")
