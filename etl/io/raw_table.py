"""What reading hands on: one table of a raw file as text, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

Refused = tuple[int, str, str]  # row, reason, text


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
        mapping: field → column number; an optional field may be missing. Empty if the table holds no passes.
        encoding: ``xlsx`` for a spreadsheet.
        odd, broken, wide: what the text may hold, see ``TextFile``.
        delimited: lines may have been refused, see ``refused_lines``.
        records: lines of the text, or rows of the sheet, behind the header. As many rows as that came out of
            the reader, unless there are blank lines or line breaks inside values.
        text: the UTF-8 text; None for a sheet.
        rounded: the ids went through numbers of a spreadsheet.
        above: rows above the first pass, header included.
        refused: rows known to be no passes before the table is read.
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
    rounded: bool = False
    above: int = 0
    refused: tuple[Refused, ...] = ()
