"""Opens one raw file as tables of text, whatever its kind: rows with their numbers, nothing decided yet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import fastexcel
import pyarrow as pa

from etl.io.encoding import as_utf8
from etl.steps.header import map_columns
from etl.steps.sql_text import literal

DELIMITERS: Final = ",\t;|"
SUFFIXES: Final = (".csv", ".xlsx", ".xls", ".txt")
LONGEST_LINE: Final = 4_000_000


class UnreadableFileError(Exception):
    """A raw file that cannot be opened as a table; caught by the reader, which sets the file aside."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RawTable:
    """One table of a raw file.

    Attributes:
        rows: columns ``rn``, ``c0``, ``c1`` … of text.
        mapping: field → column number.
        encoding: ``xlsx`` for a spreadsheet.
        odd, broken, wide: what the text may hold, see ``TextFile``.
        delimited: lines may have been refused, see ``refused_lines``.
        blanks: numbers of the lines without any character, which the engine leaves out without counting.
    """

    rows: duckdb.DuckDBPyRelation
    mapping: dict[str, int]
    encoding: str
    odd: bool
    broken: bool
    wide: bool
    delimited: bool
    blanks: tuple[int, ...] = ()


def open_tables(con: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> Iterator[RawTable]:
    """Yields the tables of ``path``; an empty second sheet is none.

    Raises:
        UnreadableFileError: ``file_empty``, ``file_unreadable`` or ``file_unknown_header``.
    """
    if path.stat().st_size == 0:
        raise UnreadableFileError("file_empty", "no bytes")
    with path.open("rb") as file:
        head = file.read(8)
    # By content and not by name: people rename exports.
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        yield from _sheets(con, path)
    else:
        yield _delimited(con, path, scratch)


def _delimited(con: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> RawTable:
    text = as_utf8(path, scratch)
    with text.path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        first = next((line for line in file if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    found = map_columns(names)
    if found is None:
        raise UnreadableFileError("file_unknown_header", first.strip()[:200])
    mapping, has_header = found
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(names)))
    blanks = _blank_lines(text.path) if text.blank_lines else ()
    leading = next((i for i, number in enumerate(blanks) if number != i + 1), len(blanks))
    rows = con.sql(
        f"SELECT row_number() OVER () + {int(has_header) + leading} AS rn, * "
        f"FROM read_csv({literal(str(text.path))}, "
        f"header={str(has_header).lower()}, skip={leading}, auto_detect=false, columns={{{columns}}}, "
        f"delim={literal(delimiter)}, "
        "quote='\"', escape='\"', nullstr='', ignore_errors=true, store_rejects=true, rejects_limit=0, "
        f"max_line_size={LONGEST_LINE})"
    )
    odd = text.odd and delimiter != "\t"
    later = blanks[leading:]
    return RawTable(rows, mapping, text.encoding, odd, text.broken, text.wide, delimited=True, blanks=later)


def _blank_lines(path: Path) -> tuple[int, ...]:
    """Numbers of the blank lines, the first line being 1; a line break inside a quoted value begins none."""
    blanks, quoted, number = [], False, 0
    with path.open("rb") as file:
        for line in file:
            number += not quoted
            if not quoted and not line.strip(b"\r\n\xef\xbb\xbf"):
                blanks.append(number)
            quoted ^= line.count(b'"') % 2 == 1
    return tuple(blanks)


def refused_lines(con: duckdb.DuckDBPyConnection) -> list[tuple[int, str, str]]:
    """The lines of the table just read that have another number of columns or broken quotes: row, reason,
    text."""
    rows = con.execute(
        "SELECT line, min(error_type), any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    kinds = {"MISSING COLUMNS": "column_count", "TOO MANY COLUMNS": "column_count"}
    return [
        (line, kinds.get(str(kind), "bad_quotes"), (text or "").strip("\r\n")) for line, kind, text in rows
    ]


def _sheets(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[RawTable]:
    try:
        book = fastexcel.read_excel(path)
        tables = [
            book.load_sheet(name, header_row=None, dtypes="string").to_arrow() for name in book.sheet_names
        ]
    except Exception as error:  # calamine raises kinds of its own for each way a file can be broken
        raise UnreadableFileError("file_unreadable", str(error).splitlines()[0]) from error
    filled = [table for table in tables if table.num_rows]
    if not filled:
        raise UnreadableFileError("file_empty", "no sheet holds a row")
    known: dict[str, int] | None = None
    for sheet, table in enumerate(filled):
        names = [value.as_py() or "" for value in (column[0] for column in _columns(table))]
        found = map_columns(names)
        if found is None and known is not None and len(names) > max(known.values()):
            found = known, False  # the sheet before was full and this one goes on
        if found is None:
            raise UnreadableFileError("file_unknown_header", f"sheet {sheet + 1}: {names}"[:200])
        known, has_header = found
        data = pa.table({f"c{i}": column for i, column in enumerate(_columns(table))}).slice(int(has_header))
        name = f"sheet_{sheet}"
        con.register(name, data)
        rows = con.sql(f"SELECT row_number() OVER () + {int(has_header)} AS rn, * FROM {name}")
        yield RawTable(rows, known, "xlsx", odd=True, broken=False, wide=True, delimited=False)
        con.unregister(name)


def _columns(table: Any) -> list[Any]:
    batch = pa.table(table) if not isinstance(table, pa.Table) else table
    return [batch.column(i).cast(pa.string()) for i in range(batch.num_columns)]
