"""Opens one raw file as tables of text, whatever its kind: rows with their numbers, nothing decided yet."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import fastexcel
import pyarrow as pa

from etl.io.encoding import RARE_BEGINNINGS, as_utf8
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
        records: lines of the text, or rows of the sheet, behind the header. As many rows as that came out of
            the reader, unless there are blank lines or line breaks inside values.
        text: the UTF-8 text; None for a sheet.
    """

    rows: duckdb.DuckDBPyRelation
    mapping: dict[str, int]
    encoding: str
    odd: bool
    broken: bool
    wide: bool
    delimited: bool
    records: int
    text: Path | None = None


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
        leading, first = next(((i, line) for i, line in enumerate(file) if line.strip()), (0, ""))
    delimiter = max(DELIMITERS, key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    found = map_columns(names)
    if found is None:
        raise UnreadableFileError("file_unknown_header", first.strip()[:200])
    mapping, has_header = found
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(names)))
    rows = con.sql(
        f"SELECT row_number() OVER () + {int(has_header) + leading} AS rn, * "
        f"FROM read_csv({literal(str(text.path))}, "
        f"header={str(has_header).lower()}, skip={leading}, auto_detect=false, columns={{{columns}}}, "
        f"delim={literal(delimiter)}, "
        "quote='\"', escape='\"', nullstr='', ignore_errors=true, store_rejects=true, rejects_limit=0, "
        f"max_line_size={LONGEST_LINE})"
    )
    odd = text.odd and delimiter != "\t"
    records = text.lines - leading - has_header
    return RawTable(
        rows,
        mapping,
        text.encoding,
        odd,
        text.broken,
        text.wide,
        delimited=True,
        records=records,
        text=text.path,
    )


def blank_lines(path: Path) -> tuple[int, ...]:
    """Numbers of the blank lines behind the first other one; the first line of the file is 1.

    The engine leaves them out without counting. A line break inside a quoted value begins no line.
    """
    blanks, quoted, number = list[int](), False, 0
    with path.open("rb") as file:
        for line in file:
            number += not quoted
            if not quoted and not line.strip(b"\r\n\xef\xbb\xbf"):
                blanks.append(number)
            quoted ^= line.count(b'"') % 2 == 1
    leading = next((i for i, line in enumerate(blanks) if line != i + 1), len(blanks))
    return tuple(blanks[leading:])


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
        sheets = [
            _columns(book.load_sheet_eager(name, header_row=None, dtypes="string"))
            for name in book.sheet_names
        ]
    except Exception as error:  # calamine raises kinds of its own for each way a file can be broken
        raise UnreadableFileError("file_unreadable", str(error).splitlines()[0]) from error
    filled = [columns for columns in sheets if columns and len(columns[0])]
    if not filled:
        raise UnreadableFileError("file_empty", "no sheet holds a row")
    known: dict[str, int] | None = None
    for sheet, columns in enumerate(filled):
        names = [column[0].as_py() or "" for column in columns]
        found = map_columns(names)
        if found is None and known is not None and len(names) > max(known.values()):
            found = known, False  # the sheet before was full and this one goes on
        if found is None:
            raise UnreadableFileError("file_unknown_header", f"sheet {sheet + 1}: {names}"[:200])
        known, has_header = found
        odd, rare = _holds(columns, b"\t", b"\x00"), _holds(columns, *RARE_BEGINNINGS)
        data = pa.Table.from_arrays(columns, [f"c{i}" for i in range(len(columns))]).slice(int(has_header))
        name = f"sheet_{sheet}"
        con.register(name, data)
        rows = con.sql(f"SELECT row_number() OVER () + {int(has_header)} AS rn, * FROM {name}")
        yield RawTable(
            rows, known, "xlsx", odd=odd, broken=False, wide=rare, delimited=False, records=data.num_rows
        )
        con.unregister(name)


def _columns(batch: pa.RecordBatch) -> list[pa.Array]:
    # Not `pa.table(…)`, which imports pandas first: a second for each process.
    return [batch.column(i).cast(pa.string()) for i in range(batch.num_columns)]


def _holds(columns: Sequence[pa.Array], *marks: bytes) -> bool:
    """Whether any value may hold one of the bytes ``marks``."""
    texts = [bytes(buffer) for column in columns if (buffer := column.buffers()[2]) is not None]
    return any(mark in text for text in texts for mark in marks)
