"""A text file as a table: where its header stands, what parts its values, which lines do not fit."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import duckdb

from etl.io.encoding import TextFile, as_utf8
from etl.io.quotes import Cut, without_stray_quotes
from etl.io.raw_table import RawTable, Refused, UnreadableFileError
from etl.steps.header import LINES_ABOVE, OPTIONAL, Layout, field_of, find_layout, map_columns
from etl.steps.rounding import looks_rounded
from etl.steps.sql_text import literal
from kakou.fields import FIELDS_8

DELIMITERS: Final = ",\t;|"
LONGEST_LINE: Final = 4_000_000
_LOOKED_AT: Final = 100
_LONGEST_HEAD: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class _Form:
    """How the lines of a text are to be cut.

    Attributes:
        layout: of the columns. cut: of the lines.
        ids: the first ids of the table.
    """

    layout: Layout
    cut: Cut
    ids: tuple[str, ...]


def open_text(con: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> RawTable:
    """The one table of a text file.

    Raises:
        UnreadableFileError: ``file_empty`` or ``file_unknown_header``.
    """
    text = as_utf8(path, scratch)
    lines = _first_lines(text.path)
    told = next((shown for line in lines if (shown := line.strip("\ufeff \t\r\n\x1a"))), "")
    if not told:
        raise UnreadableFileError("file_empty", "no line that holds anything")
    form = _form(lines)
    if form is None:
        raise UnreadableFileError("file_unknown_header", told[:200])
    return _table(con, text, form)


def mended(con: duckdb.DuckDBPyConnection, table: RawTable) -> RawTable:
    """The same table once more, line by line: a quote that is never closed swallows only its own line."""
    assert table.text is not None
    form = _form(_first_lines(table.text))
    assert form is not None
    target = table.text.with_name(table.text.name + ".mended")
    refused, lines = without_stray_quotes(table.text, target, form.cut, form.layout.above)
    text = TextFile(target, table.encoding, table.broken, table.odd, table.wide, lines)
    return replace(_table(con, text, form), refused=refused)


def _first_lines(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        return file.read(_LONGEST_HEAD).split("\n")[: LINES_ABOVE + _LOOKED_AT]


def _form(lines: Sequence[str]) -> _Form | None:
    for quote in "\"'":
        rows = [_cells(line, _delimiter(line), quote) for line in lines]
        layout = find_layout(rows)
        if layout is None:
            layout = _by_commas_in_names(rows)
        if layout is None:
            continue
        shown = layout.header if layout.header is not None else 0
        if layout.header is None:
            shown = next(i for i, row in enumerate(rows) if map_columns(row))
        names, delimiter = rows[shown], _delimiter(lines[shown])
        # Some quote every value by an apostrophe; spreadsheets put one only in front.
        if quote == '"' and all(len(name) > 1 and name[0] == name[-1] == "'" for name in names):
            continue
        data = [_cells(line, delimiter, quote) for line in lines[layout.above :] if line.strip()]
        data = data[:_LOOKED_AT]
        layout, width = _fitted(layout, names, data)
        at = layout.mapping["GCXH"]
        ids = tuple(row[at].strip() for row in data if len(row) > at)
        return _Form(layout, Cut(width, delimiter, quote), ids)
    return None


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _cells(line: str, delimiter: str, quote: str) -> list[str]:
    try:
        return next(csv.reader([line.strip("\r\n")], delimiter=delimiter, quotechar=quote), [])
    except csv.Error:  # a value beyond any sense
        return []


def _by_commas_in_names(rows: Sequence[Sequence[str]]) -> Layout | None:
    """Names such as ``SUBSTR(HPHM,0,4)`` that are not quoted fall apart; the next row is then a pass."""
    for number, (row, below) in enumerate(pairwise(rows)):
        known = {field for name in row if (field := field_of(name))}
        found = map_columns(below)
        many = len(known) >= len(FIELDS_8) - len(OPTIONAL)
        if many and len(row) > len(below) and found and not found[1]:
            return Layout(found[0], number + 1, number)
    return None


def _fitted(layout: Layout, names: Sequence[str], data: Sequence[Sequence[str]]) -> tuple[Layout, int]:
    """The columns that the lines below have, where the header shows more or fewer."""
    width, lines = Counter(len(row) for row in data).most_common(1)[0] if data else (len(names), 0)
    if width == len(names) or lines * 2 < len(data):
        return layout, len(names)
    found = map_columns(data[0])
    if layout.header is not None and found and not found[1] and len(names) - width > 1:
        return replace(layout, mapping=found[0]), width
    if width > max(layout.mapping.values()):
        return layout, width
    return layout, len(names)


def _table(con: duckdb.DuckDBPyConnection, text: TextFile, form: _Form) -> RawTable:
    above, cut = form.layout.above, form.cut
    columns = ", ".join(f"c{i}: 'VARCHAR'" for i in range(cut.width))
    rows = con.sql(
        f"SELECT row_number() OVER () + {above} AS rn, * "
        f"FROM read_csv({literal(str(text.path))}, "
        f"header=false, skip={above}, auto_detect=false, columns={{{columns}}}, "
        f"delim={literal(cut.delimiter)}, quote={literal(cut.quote)}, escape={literal(cut.quote)}, "
        "nullstr='', ignore_errors=true, store_rejects=true, rejects_limit=0, "
        f"max_line_size={LONGEST_LINE})"
    )
    return RawTable(
        rows,
        form.layout.mapping,
        text.encoding,
        text.odd and cut.delimiter != "\t",
        text.broken,
        text.wide,
        delimited=True,
        records=text.lines - above,
        text=text.path,
        rounded=looks_rounded(form.ids),
        above=above,
    )


def blank_lines(path: Path, above: int) -> tuple[int, ...]:
    """Numbers of the blank lines behind the ``above`` first ones; the first line of the file is 1.

    The engine leaves them out without counting. A line break inside a quoted value begins no line.
    """
    blanks, quoted, number = list[int](), False, 0
    with path.open("rb") as file:
        for line in file:
            number += not quoted
            if number > above and not quoted and not line.strip(b"\r\n\xef\xbb\xbf"):
                blanks.append(number)
            quoted ^= line.count(b'"') % 2 == 1
    return tuple(blanks)


def forget_rejects(con: duckdb.DuckDBPyConnection) -> None:
    """Removes what the engine noted of lines that it refused, so that it does not count for the next text."""
    con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")


def refused_lines(con: duckdb.DuckDBPyConnection) -> list[Refused]:
    """The lines of the table just read that have another number of columns or broken quotes: row, reason,
    text."""
    rows = con.execute(
        "SELECT line, min(error_type), any_value(csv_line) FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    forget_rejects(con)
    kinds = {"MISSING COLUMNS": "column_count", "TOO MANY COLUMNS": "column_count"}
    return [
        (line, kinds.get(str(kind), "bad_quotes"), (text or "").strip("\r\n")) for line, kind, text in rows
    ]
