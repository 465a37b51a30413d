"""Rows of ``traffic_data`` for the tests of the stores, and one way to write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from kakou.fields import COLUMNS_12

COLUMNS = ("id", *COLUMNS_12[1:], "kafka_partition", "kafka_offset", "batch_id")
Row = tuple[Any, ...]


def pass_row(
    id: str,
    kkmc: str,
    gcsj: str | datetime = "2024-01-15 08:00:00",
    *,
    hphm: str = "苏C12345",
    province: str = "江苏",
    clppxh: str = "大众牌",
    offset: int | None = None,
) -> Row:
    """One row in the order of ``COLUMNS``."""
    return (
        id, "徐州市", kkmc, "1", str(gcsj), "02", hphm, clppxh, province, 0, 1, "小型汽车", 0, offset, 1,
    )  # fmt: skip


def insert_rows(connection: Any, rows: Iterable[Row], verb: str = "INSERT", tail: str = "") -> int:
    """Writes rows in one statement and commits; returns how many rows the server says it changed."""
    listed: Sequence[Row] = list(rows)
    marks = ", ".join(["%s"] * len(COLUMNS))
    with connection.cursor() as cursor:
        changed = cursor.executemany(
            f"{verb} INTO traffic_data ({', '.join(COLUMNS)}) VALUES ({marks}) {tail}", listed
        )
    connection.commit()
    return int(changed or 0)


def ask(connection: Any, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of one query; no transaction stays open behind it."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        rows = list(cursor.fetchall())
    connection.rollback()
    return rows


def clear(connection: Any, prefix: str) -> None:
    """Deletes the rows whose id begins with ``prefix``."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM traffic_data WHERE id LIKE %s", (prefix + "%",))
    connection.commit()
