"""Edge: days that the nodes have forgotten, and their roll-ups.

From the moment a day is closed the stream adds no pass of it to ``flow_hourly``: the roll-up is what the
archive counts, set and never added to. So a pass that is sent again after its row was deleted, and that the
stream must take for a new one, is counted once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Any, Final

from kakou.connections import node_names
from kakou.settings import Settings
from kakou.topology import load_topology
from kakou.whole_files import scratch_folder
from sql.archive_files import day_folder, engine, files_of
from sql.node_days import open_node

INSERT_ROWS: Final = 2_000
_COUNT: Final = (
    "SELECT KKMC, hour(GCSJ), PROVINCE, VEHICLE_TYPE_NAME, COUNT(*) FROM read_parquet($files) "
    "WHERE KKMC IN (SELECT unnest($gates)) GROUP BY ALL ORDER BY ALL"
)
# By the index of the day: a scan would wait for rows of other days that the stream holds.
_FORGET: Final = "DELETE f FROM flow_hourly f FORCE INDEX (idx_day_hour) WHERE f.day = %s"
# Two spellings of a province that the column's collation takes for one are one row.
_INSERT: Final = (
    "INSERT INTO flow_hourly (day, kkmc, hour, province, vehicle_type_name, n) "
    "VALUES (%s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE n = n + VALUES(n)"
)


def close_day(settings: Settings, day: date) -> None:
    """Closes a day on every node; from here on the stream leaves its roll-up alone."""
    for node in node_names(settings):
        server = open_node(settings, node, "kakou_writer")
        with server, server.cursor() as cursor:
            cursor.execute("INSERT IGNORE INTO closed_days (day) VALUES (%s)", (day,))


def is_closed(settings: Settings, day: date) -> bool:
    """Whether some node has the day closed; after a kill that may be one of them."""
    for node in node_names(settings):
        server = open_node(settings, node, "kakou_reader")
        with server, server.cursor() as cursor:
            cursor.execute("SELECT 1 FROM closed_days WHERE day = %s", (day,))
            if cursor.fetchone():
                return True
    return False


def set_flow(settings: Settings, day: date) -> None:
    """Makes ``flow_hourly`` of a day what the archive counts, each node in one transaction.

    Doing it again changes nothing. A reader sees the counts before or after.
    """
    topology = load_topology(settings.topology_dir)
    files = files_of(day_folder(settings, day))
    with scratch_folder(settings.history_dir, f"flow-{day}") as scratch, engine(scratch) as counting:
        gates: dict[str, list[str]] = defaultdict(list)
        if files:
            found = counting.execute("SELECT DISTINCT KKMC FROM read_parquet($files)", {"files": files})
            for (gate,) in found.fetchall():
                gates[topology.ring.locate(gate)].append(gate)
        for node in node_names(settings):
            server = open_node(settings, node, "kakou_writer")
            with server, server.cursor() as cursor:
                server.begin()
                cursor.execute(_FORGET, (day,))
                if gates[node]:
                    _insert(cursor, day, counting.execute(_COUNT, {"files": files, "gates": gates[node]}))
                server.commit()


def _insert(cursor: Any, day: date, counted: Any) -> None:
    while rows := counted.fetchmany(INSERT_ROWS):
        cursor.executemany(_INSERT, [(day, *row) for row in rows])
