"""Days of passes on the nodes and in the archive, for the tests of archive, retention and roll-ups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from pass_rows import COLUMNS, Row, ask, insert_rows, pass_row

from kakou.connections import connect, node_names
from kakou.settings import Settings
from kakou.topology import load_topology
from sql.archive_files import day_folder

DAY = date(2024, 1, 15)
GATES = [f"AR_Gate_K{n}" for n in range(10)]
TIMES = ("00:00:00", "23:59:59", "12:34:56")
EMPTIED = ("traffic_data", "flow_hourly", "closed_days", "duplicate_records", "batch_ledger")
ADD_FLOW = (
    "INSERT INTO flow_hourly (kkmc, day, hour, province, vehicle_type_name, n) "
    "SELECT kkmc, DATE(gcsj), HOUR(gcsj), province, vehicle_type_name, COUNT(*) FROM traffic_data "
    "WHERE id IN %s GROUP BY 1, 2, 3, 4, 5 ON DUPLICATE KEY UPDATE n = n + VALUES(n)"
)


@contextmanager
def empty_place(stack: Settings, folder: Path) -> Iterator[Settings]:
    """The running stores without passes, and a history folder of our own."""
    own = stack.model_copy(update={"var": folder})
    (folder / "secrets").symlink_to(stack.secrets_dir)
    _empty(own)
    yield own
    _empty(own)


def _empty(settings: Settings) -> None:
    for name in node_names(settings):
        with connect(settings, name, "root", autocommit=True) as node, node.cursor() as cursor:
            for table in EMPTIED:
                cursor.execute(f"TRUNCATE TABLE {table}")


def home_of(settings: Settings, row: Row) -> str:
    """The node that the ring gives a row to."""
    return load_topology(settings.topology_dir).ring.locate(row[COLUMNS.index("kkmc")])


def store(settings: Settings, ids: list[str], day: date = DAY, *, count: bool = False) -> None:
    """One pass for each id, at the first and last second of the day and between, each on its node.

    With ``count`` the roll-up is kept too, as the stream does for an open day.
    """
    put(
        settings,
        [
            pass_row(id, GATES[n % len(GATES)], f"{day} {TIMES[n % 3]}", clppxh="大众🚗", offset=n)
            for n, id in enumerate(ids)
        ],
        count=count,
    )


def put(settings: Settings, rows: list[Row], *, count: bool = False) -> None:
    """Writes rows, each on its node."""
    for name in node_names(settings):
        own = [row for row in rows if home_of(settings, row) == name]
        with connect(settings, name, "kakou_writer") as node:
            insert_rows(node, own)
            if count and own:
                with node.cursor() as cursor:
                    cursor.execute(ADD_FLOW, ([row[0] for row in own],))
                node.commit()


def everywhere(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    """Rows of one query, all nodes together."""
    found: list[tuple[object, ...]] = []
    for name in node_names(settings):
        with connect(settings, name, "kakou_reader") as node:
            found += ask(node, statement)
    return found


def stored(settings: Settings) -> list[str]:
    """The ids on the nodes."""
    return sorted(str(id) for (id,) in everywhere(settings, "SELECT id FROM traffic_data"))


def flow(settings: Settings, day: date = DAY) -> dict[tuple[object, ...], int]:
    """The roll-up of a day: gate, hour, province and type of vehicle to passes."""
    rows = everywhere(
        settings,
        f"SELECT kkmc, hour, province, vehicle_type_name, n FROM flow_hourly WHERE day = '{day}'",
    )
    counts = {row[:-1]: int(str(row[-1])) for row in rows}
    assert len(counts) == len(rows)  # a gate is on one node
    return counts


def in_archive(settings: Settings, day: date = DAY) -> list[str]:
    """The ids in the archive of a day."""
    paths = sorted(day_folder(settings, day).glob("*.parquet"))
    return sorted(id for path in paths for id in pq.read_table(path)["GCXH"].to_pylist())
