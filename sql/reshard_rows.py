"""Edge: copies, compares and deletes the rows of one gate, some thousand at a time.

No statement locks a row that it does not write, none keeps a snapshot open, and memory holds one chunk. Each
may be repeated: a row that is there already is overwritten with the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymysql

from kakou.connections import connect
from kakou.settings import Settings

CHUNK_ROWS: Final = 5_000
_ANSWER_S: Final = 600  # a checksum of the largest gate
Digest = tuple[int, int, int]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What must be known of a table to walk through the rows of a gate.

    Attributes:
        gate: the column of the gate.
        columns: all of them.
        key: those of the primary key.
        order: those after the gate in an index that begins with it, then the rest of the key.
    """

    name: str
    gate: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    order: tuple[str, ...]


def open_writer(settings: Settings, node: str) -> pymysql.Connection[Any]:
    """A connection on which each statement is its own transaction.

    READ COMMITTED, so that a DELETE locks the rows that it deletes and no gap between them.
    """
    server = connect(
        settings,
        node,
        "kakou_writer",
        autocommit=True,
        read_timeout=_ANSWER_S,
        write_timeout=_ANSWER_S,
    )
    with server.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return server


def look_up(cursor: Any, name: str, gate: str) -> Table:
    """Columns and keys of a table as a node has them."""
    cursor.execute(f"SHOW COLUMNS FROM `{name}`")
    columns = tuple(str(row[0]) for row in cursor.fetchall())
    cursor.execute(f"SHOW INDEX FROM `{name}`")
    indexes: dict[str, list[str]] = {}
    for row in cursor.fetchall():
        indexes.setdefault(str(row[2]), []).append(str(row[4]))
    key = tuple(indexes["PRIMARY"])
    by_gate = next((parts for parts in indexes.values() if parts[0] == gate), [gate])
    order = tuple(dict.fromkeys(one for one in (*by_gate, *key) if one != gate))
    return Table(name, gate, columns, key, order)


def digest(cursor: Any, table: Table, gate: str) -> Digest:
    """Number and two checksums of a gate's rows: equal only where every column of every row is."""
    values = ", ".join(f"IFNULL(`{column}`, '\\\\N')" for column in table.columns)
    row = f"MD5(CONCAT_WS('\\t', {values}))"
    half = "CAST(CONV(SUBSTRING({row}, {start}, 16), 16, 10) AS UNSIGNED)"
    sums = ", ".join(f"BIT_XOR({half.format(row=row, start=start)})" for start in (1, 17))
    cursor.execute(
        f"SELECT COUNT(*), {sums} FROM `{table.name}` WHERE `{table.gate}` = %s",  # noqa: S608
        (gate,),
    )
    count, first, second = cursor.fetchone()
    return int(count), int(first), int(second)


def copy_gate(source: Any, target: Any, table: Table, gate: str) -> int:
    """Writes every row of a gate that ``source`` has to ``target``; returns how many."""
    names = ", ".join(f"`{column}`" for column in table.columns)
    marks = ", ".join(["%s"] * len(table.columns))
    renew = ", ".join(f"`{column}` = VALUES(`{column}`)" for column in table.columns)
    insert = (
        f"INSERT INTO `{table.name}` ({names}) VALUES ({marks}) "  # noqa: S608 - names of the table itself
        f"ON DUPLICATE KEY UPDATE {renew}"
    )
    copied = 0
    for rows in _chunks(source, table, gate):
        target.executemany(insert, rows)
        copied += len(rows)
    return copied


def delete_gate(cursor: Any, table: Table, gate: str) -> int:
    """Deletes every row of a gate; returns how many."""
    gone = 0
    while True:
        found = cursor.execute(
            f"DELETE FROM `{table.name}` WHERE `{table.gate}` = %s LIMIT {CHUNK_ROWS}",  # noqa: S608
            (gate,),
        )
        gone += int(found)
        if found < CHUNK_ROWS:
            return gone


def delete_copied(cursor: Any, elsewhere: Any, table: Table, gate: str) -> tuple[int, int]:
    """Deletes those rows of a gate whose key lies on the other node too.

    Returns:
        rows deleted, and rows left because the other node lacks them.
    """
    key = ", ".join(f"`{column}`" for column in table.key)
    at = [table.columns.index(column) for column in table.key]
    gone = left = 0
    for rows in _chunks(cursor, table, gate):
        keys = [tuple(row[one] for one in at) for row in rows]
        where = f"WHERE `{table.gate}` = %s AND ({key}) IN %s"
        elsewhere.execute(f"SELECT {key} FROM `{table.name}` {where}", (gate, keys))  # noqa: S608
        there = list(elsewhere.fetchall())
        if there:
            gone += int(cursor.execute(f"DELETE FROM `{table.name}` {where}", (gate, there)))  # noqa: S608
        left += len(keys) - len(there)
    return gone, left


def _chunks(cursor: Any, table: Table, gate: str) -> Iterator[Sequence[Row]]:
    """The rows of a gate in the order of ``table.order``; each chunk begins behind the last one."""
    names = ", ".join(f"`{column}`" for column in table.columns)
    order = ", ".join(f"`{column}`" for column in table.order)
    at = [table.columns.index(column) for column in table.order]
    behind = f"AND `{table.order[0]}` >= %s AND ({order}) > ({', '.join(['%s'] * len(at))})"
    last: Row = ()
    while True:
        # The first column alone lets the index range begin at the last row; the rest leaves out its equals.
        cursor.execute(
            f"SELECT {names} FROM `{table.name}` WHERE `{table.gate}` = %s "  # noqa: S608
            f"{behind if last else ''} ORDER BY {order} LIMIT {CHUNK_ROWS}",
            (gate, *last[:1], *last),
        )
        rows: Sequence[Row] = cursor.fetchall()
        if rows:
            yield rows
            last = tuple(rows[-1][one] for one in at)
        if len(rows) < CHUNK_ROWS:
            return
