"""Columns of a running server in the words of the contract."""

from __future__ import annotations

import re
from typing import Any

from kakou.connections import connect
from kakou.settings import Settings

COLLATIONS = {None: "", "utf8mb4_general_ci": "", "utf8mb4_bin": " bin", "ascii_bin": " ascii"}


def ask(settings: Settings, server: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of one query, as root."""
    with connect(settings, server, "root") as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def columns_of(settings: Settings, server: str, table: str) -> tuple[tuple[str, ...], ...]:
    """(column, type, null) of a table or view, in order; a collation that nobody expects is spelled out."""
    rows = ask(
        settings,
        server,
        "SELECT column_name, column_type, collation_name, is_nullable FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        table,
    )
    return tuple(
        # How wide an integer is shown differs from server to server; which integer it is does not.
        (name, re.sub(r"int\(\d+\)", "int", kind) + COLLATIONS.get(collation, f" {collation}"), null.lower())
        for name, kind, collation, null in rows
    )


def listed(settings: Settings, server: str, kind: str) -> set[str]:
    """Names of all ``BASE TABLE`` or ``VIEW``."""
    return {str(row[0]) for row in ask(settings, server, "SHOW FULL TABLES WHERE Table_type = %s", kind)}
