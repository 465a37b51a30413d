"""Edge: the gates that the stores know: table ``kkmc_info`` and the endpoint's partitions."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pymysql

from kakou.connections import connect
from kakou.errors import BadInputError, StorageError
from kakou.fields import CODENAME_MAX, DIMENSION_COLUMNS
from kakou.settings import Settings
from kakou.topology import load_topology
from sql import endpoint
from sql.migrate import take_lock

TABLE: Final = "kkmc_info"
_NUMBERS: Final = frozenset({"LON", "LAT"})


def load_gates(settings: Settings, dimension_csv: Path) -> int:
    """Writes the gates of ``kkmc_dimension.csv`` to every node and makes the endpoint know them.

    A gate that the file no longer holds stays, because passes of it may be stored.

    Returns:
        the number of gates in the file.

    Raises:
        BadInputError: the file is missing or is no gate dimension.
        StorageError: a node or the endpoint is away.
    """
    rows = read_dimension(dimension_csv)
    columns = ", ".join(name.lower() for name in DIMENSION_COLUMNS)
    marks = ", ".join(["%s"] * len(DIMENSION_COLUMNS))
    renew = ", ".join(f"{n.lower()} = VALUES({n.lower()})" for n in DIMENSION_COLUMNS[1:])
    upsert = f"INSERT INTO {TABLE} ({columns}) VALUES ({marks}) ON DUPLICATE KEY UPDATE {renew}"  # noqa: S608
    topology = load_topology(settings.topology_dir)
    try:
        for node in topology.nodes:
            server = connect(settings, node.name, "kakou_writer")
            with server, server.cursor() as cursor:
                cursor.executemany(upsert, rows)
                server.commit()
        _copy_to_endpoint(settings)
    except pymysql.MySQLError as error:
        raise _away(error) from error
    ensure_gates(settings, (str(row[0]) for row in rows))
    return len(rows)


def ensure_gates(settings: Settings, names: Iterable[str]) -> int:
    """Makes the endpoint's partitions hold every gate of ``names``; returns how many were added.

    Call it before rows of a new gate are committed. Where all are known it is one query (about 2 ms). Readers
    are not disturbed: they see the table before or after. Two processes may call it at once.

    Raises:
        StorageError: the endpoint is away, or was never built.
    """
    wanted = set(names)
    topology = load_topology(settings.topology_dir)
    try:
        server = connect(settings, "endpoint", "root", autocommit=True)
        with server, server.cursor() as cursor:
            if endpoint.is_mycat(server):
                return 0
            rendered = endpoint.rendered_gates(cursor, topology)
            if not endpoint.missing_gates(wanted, rendered, CODENAME_MAX):
                return 0
            take_lock(cursor, endpoint.LOCK, "another rebuild of the endpoint")
            topology = load_topology(settings.topology_dir)  # a re-shard may have ended while we waited
            if not endpoint.links_every_node(cursor, topology):
                endpoint.build(settings, cursor)
            rendered = endpoint.rendered_gates(cursor, topology)
            missing = endpoint.missing_gates(wanted, rendered, CODENAME_MAX)
            if missing:
                endpoint.add_gates(cursor, topology, rendered | missing)
            cursor.execute("SELECT RELEASE_LOCK(%s)", (endpoint.LOCK,))
            return len(missing)
    except pymysql.MySQLError as error:
        raise _away(error) from error


def read_dimension(path: Path) -> list[tuple[Any, ...]]:
    """The rows of ``kkmc_dimension.csv`` in the contract's order; an empty LON or LAT is None.

    Raises:
        BadInputError: it is missing, has other columns, or a number that is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != DIMENSION_COLUMNS:
                raise BadInputError(
                    f"{path} must have the columns {','.join(DIMENSION_COLUMNS)}. Run `kakou etl run`."
                )
            return [
                tuple(_value(path, name, row[name] or "") for name in DIMENSION_COLUMNS) for row in reader
            ]
    except FileNotFoundError as error:
        raise BadInputError(f"The gate file {path} is missing. Run `kakou etl run` first.") from error


def _value(path: Path, name: str, text: str) -> str | float | None:
    if name not in _NUMBERS:
        return text
    try:
        return float(text) if text else None
    except ValueError as error:
        raise BadInputError(
            f"{path}: {name} '{text}' is no number. Mend the file or leave it empty."
        ) from error


def _copy_to_endpoint(settings: Settings) -> None:
    topology = load_topology(settings.topology_dir)
    server = connect(settings, "endpoint", "root", autocommit=True)
    with server, server.cursor() as cursor:
        if not endpoint.is_mycat(server):
            take_lock(cursor, endpoint.LOCK, "another rebuild of the endpoint")
            endpoint.copy_global(settings, cursor, topology, TABLE)


def _away(error: pymysql.MySQLError) -> StorageError:
    return StorageError(
        f"The gates could not be written: {error.args[-1]}. See `kakou status`; if the endpoint was never "
        "built, run `kakou up`."
    )
