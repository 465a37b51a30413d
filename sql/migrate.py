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
from kakou.errors import StorageError
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
NOT_FOR_READER: Final = frozenset({"users", "audit", "alembic_version"})

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


def _one_head(found: dict[str, str | None]) -> str:
    revisions = set(found.values())
    if len(revisions) != 1 or None in revisions:
        listed = ", ".join(f"{name} at {revision or 'nothing'}" for name, revision in sorted(found.items()))
        raise StorageError(
            f"The nodes differ in their schema: {listed}. Run `kakou up` again until all are at {newest()}."
        )
    return str(revisions.pop())


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
    """Makes ``account``, which may come from our own host alone, or sets its secret again where it exists."""
    password = secret(settings, secret_name).get_secret_value()
    who = f"'{account}'@'{settings.host}'"
    cursor.execute(f"CREATE USER IF NOT EXISTS {who} IDENTIFIED BY %s", (password,))
    cursor.execute(f"ALTER USER {who} IDENTIFIED BY %s", (password,))


def grant_reader(settings: Settings, cursor: Any, database: str, tables: Iterable[str]) -> None:
    """Lets ``kakou_reader`` read ``tables``, except those that are none of a reader's business."""
    for table in tables:
        if table not in NOT_FOR_READER:
            cursor.execute(f"GRANT SELECT ON `{database}`.`{table}` TO 'kakou_reader'@'{settings.host}'")


def take_lock(cursor: Any, name: str, holder: str) -> None:
    """Waits for the server-wide lock ``name``; it ends with the connection at the latest.

    Raises:
        StorageError: it was not free within ``LOCK_SECONDS``.
    """
    cursor.execute("SELECT GET_LOCK(%s, %s)", (name, LOCK_SECONDS))
    if cursor.fetchone()[0] != 1:
        raise StorageError(f"Waited {LOCK_SECONDS} s for {holder} to end. Run the command again.")
