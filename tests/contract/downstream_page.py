"""Reads docs/downstream.md, so that the page and the system are held against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "downstream.md"
Row = tuple[str, ...]


@cache
def tables() -> dict[str, tuple[Row, ...]]:
    """The rows of the first table under each heading, without header; cells as written, stripped."""
    found: dict[str, tuple[Row, ...]] = {}
    for part in re.split(r"^#+ ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        rows = tuple(_rows(body))
        if rows:
            found[title.strip().strip("`")] = rows[2:]  # header and rule
    return found


def _rows(body: str) -> Iterator[Row]:
    for line in body.splitlines():
        if line.startswith("|"):
            yield tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def words(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]*)`", cell)


def word(cell: str) -> str:
    """The one thing between backticks."""
    (only,) = words(cell)
    return only


def views() -> dict[str, tuple[Row, ...]]:
    """View → (column, type, null), in order."""
    return {
        title: tuple((word(row[0]), word(row[1]), row[2]) for row in rows)
        for title, rows in tables().items()
        if title.startswith("v_")
    }
