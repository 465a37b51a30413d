"""Edge: what a new node must know before it takes rows: gates, closed days, and how far the stream is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kakou.settings import Settings
from kakou.topology import Topology
from sql.reshard_rows import look_up, open_writer

# On every node, and no table of the endpoint: the stream asks each node which days are closed.
_ON_EACH: Final = ("closed_days",)
_ADD_BATCH: Final = (
    "INSERT IGNORE INTO batch_ledger "
    "(query, batch_id, offsets_start, offsets_end, stored, duplicates, rejected, committed_at) "
    "VALUES (%s, %s, %s, %s, 0, 0, 0, %s)"
)


def teach(settings: Settings, topology: Topology, old: Sequence[str], new: Sequence[str]) -> None:
    """Gives the new nodes the gates and closed days of the first old one; may be repeated at any time."""
    for node in new:
        source, target = open_writer(settings, old[0]), open_writer(settings, node)
        with source, target, source.cursor() as reading, target.cursor() as writing:
            for table in (*topology.global_, *_ON_EACH):
                _copy_whole(reading, writing, table, topology.column)


def teach_batches(settings: Settings, old: Sequence[str], new: Sequence[str]) -> None:
    """Writes down on the new nodes the newest batch of each query that every old node has.

    Its counts are zero there, as its rows are counted where they were stored. If Spark repeats that batch,
    every node says that it has it; an older one Spark never repeats. A batch that only some nodes have is
    left out: when it is repeated, the new node must take its share of what was not stored yet.

    Call it only while no stream writes: a batch on its way to the new node would be taken for written.
    """
    batches = _newest_of_all(settings, old)
    for node in new:
        server = open_writer(settings, node)
        with server, server.cursor() as cursor:
            cursor.executemany(_ADD_BATCH, batches)


def progress(settings: Settings, nodes: Sequence[str]) -> list[dict[str, int]]:
    """The newest batch of each query, by node: it changes if and only if a stream writes."""
    found = []
    for node in nodes:
        server = open_writer(settings, node)
        with server, server.cursor() as cursor:
            cursor.execute("SELECT query, MAX(batch_id) FROM batch_ledger GROUP BY query")
            found.append({str(query): int(batch) for query, batch in cursor.fetchall()})
    return found


def _newest_of_all(settings: Settings, nodes: Sequence[str]) -> list[tuple[Any, ...]]:
    """Query, number, offsets and time of the newest batch of each query that every node has."""
    newest = progress(settings, nodes)
    common = {
        query: min(found[query] for found in newest)
        for query in newest[0]
        if all(query in found for found in newest)
    }
    batches = []
    server = open_writer(settings, nodes[0])
    with server, server.cursor() as cursor:
        for query, number in common.items():
            cursor.execute(
                "SELECT query, batch_id, offsets_start, offsets_end, committed_at FROM batch_ledger "
                "WHERE query = %s AND batch_id = %s",
                (query, number),
            )
            batches += cursor.fetchall()
    return batches


def _copy_whole(source: Any, target: Any, name: str, gate: str) -> None:
    """Copies a small table; rows that only the target has stay."""
    columns = ", ".join(f"`{column}`" for column in look_up(source, name, gate).columns)
    source.execute(f"SELECT {columns} FROM `{name}`")  # noqa: S608 - names of the table itself
    rows = source.fetchall()
    if rows:
        marks = ", ".join(["%s"] * len(rows[0]))
        target.executemany(f"REPLACE INTO `{name}` ({columns}) VALUES ({marks})", rows)  # noqa: S608
