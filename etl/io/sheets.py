"""A spreadsheet as tables of text, one for each sheet that holds passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import fastexcel
import pyarrow as pa

from etl.io.encoding import RARE_BEGINNINGS
from etl.io.raw_table import RawTable, UnreadableFileError
from etl.steps.header import LINES_ABOVE, Layout, find_layout
from etl.steps.rounding import looks_rounded

_LOOKED_AT = 100


def open_sheets(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[RawTable]:
    """Yields the filled sheets of a spreadsheet, hidden ones too.

    A sheet that has no header and goes on where the one before ended is read by that one's header. Of a sheet
    that is something else, such as a pivot table, only its refusal is handed on.

    Raises:
        UnreadableFileError: ``file_unreadable``, ``file_empty``, or ``file_unknown_header`` if no sheet has
            a header that is known.
    """
    sheets = [columns for columns in _sheets(path) if columns and len(columns[0])]
    if not sheets:
        raise UnreadableFileError("file_empty", "no sheet holds a row")
    layouts = _layouts(sheets)
    if not any(layouts):
        raise UnreadableFileError("file_unknown_header", f"sheet 1: {_first_rows(sheets[0])[0]}"[:200])
    for number, (columns, layout) in enumerate(zip(sheets, layouts, strict=True)):
        name = f"sheet_{number}"
        yield _table(con, name, columns, layout)
        con.unregister(name)


def _sheets(path: Path) -> list[list[pa.Array]]:
    try:
        book = fastexcel.read_excel(path)
        return [
            _columns(book.load_sheet_eager(name, header_row=None, skip_rows=0, dtypes="string"))
            for name in book.sheet_names
        ]
    except Exception as error:  # calamine raises kinds of its own for each way a file can be broken
        raise UnreadableFileError(
            "file_unreadable", (str(error) or "no reason given").splitlines()[0]
        ) from error


def _columns(batch: pa.RecordBatch) -> list[pa.Array]:
    # Not `pa.table(…)`, which imports pandas first, and no cast without need: each costs a process its start.
    columns = (batch.column(i) for i in range(batch.num_columns))
    return [column if column.type == pa.string() else column.cast(pa.string()) for column in columns]


def _layouts(sheets: Sequence[Sequence[pa.Array]]) -> list[Layout | None]:
    layouts: list[Layout | None] = []
    known: Layout | None = None
    for columns in sheets:
        layout = find_layout(_first_rows(columns))
        if known and (layout is None or layout.header is None) and len(columns) > max(known.mapping.values()):
            layout = Layout(known.mapping, 0, None)  # the sheet before was full and this one goes on
        known = layout or known
        layouts.append(layout)
    return layouts


def _first_rows(columns: Sequence[pa.Array]) -> list[list[str]]:
    cells = [[value or "" for value in column[:LINES_ABOVE].to_pylist()] for column in columns]
    return [list(row) for row in zip(*cells, strict=True)]


def _table(
    con: duckdb.DuckDBPyConnection, name: str, columns: Sequence[pa.Array], layout: Layout | None
) -> RawTable:
    above = layout.above if layout else len(columns[0])
    data = pa.Table.from_arrays(list(columns), [f"c{i}" for i in range(len(columns))]).slice(above)
    con.register(name, data)
    ids = columns[layout.mapping["GCXH"]][above : above + _LOOKED_AT].to_pylist() if layout else []
    return RawTable(
        con.sql(f"SELECT row_number() OVER () + {above} AS rn, * FROM {name}"),
        layout.mapping if layout else {},
        "xlsx",
        odd=_holds(columns, b"\t", b"\x00"),
        broken=False,
        wide=_holds(columns, *RARE_BEGINNINGS),
        delimited=False,
        records=data.num_rows,
        rounded=looks_rounded([id_ or "" for id_ in ids]),
        above=above,
        refused=() if layout else ((1, "sheet_unknown_header", ",".join(_first_rows(columns)[0])[:200]),),
    )


def _holds(columns: Sequence[pa.Array], *marks: bytes) -> bool:
    """Whether any value may hold one of the bytes ``marks``."""
    texts = [bytes(buffer) for column in columns if (buffer := column.buffers()[2]) is not None]
    return any(mark in text for text in texts for mark in marks)
