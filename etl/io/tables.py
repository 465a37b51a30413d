"""Opens one raw file as tables of text, whatever its kind: rows with their numbers, nothing decided yet."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from etl.io.delimited import open_text
from etl.io.raw_table import RawTable, UnreadableFileError
from etl.io.sheets import open_sheets

__all__ = ["SUFFIXES", "RawTable", "UnreadableFileError", "open_tables"]

# Packed and foreign kinds too, so that a file which is not read is named in the report and not overlooked.
SUFFIXES: Final = (
    ".csv", ".xlsx", ".xls", ".txt", ".tsv", ".xlsm", ".xlsb", ".ods", ".et", ".gz", ".zip", ".rar", ".7z",
)  # fmt: skip
_GZIP: Final = b"\x1f\x8b"
_NO_TABLES: Final = (
    (b"Rar!", "a RAR archive; unpack it into the raw folder"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it into the raw folder"),
    (b"%PDF", "a PDF page; export the table as CSV or XLSX"),
    (b"PAR1", "a Parquet file; export the table as CSV or XLSX"),
    (b"SQLite format", "a database; export the table as CSV or XLSX"),
)


def open_tables(con: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> Iterator[RawTable]:
    """Yields the tables of ``path``; an empty second sheet is none.

    Raises:
        UnreadableFileError: ``file_empty``, ``file_unreadable`` or ``file_unknown_header``.
    """
    if path.stat().st_size == 0:
        raise UnreadableFileError("file_empty", "no bytes")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_GZIP):
        path = _unpacked(path, scratch.with_suffix(".unpacked"))
        with path.open("rb") as file:
            head = file.read(512)
    for mark, what in _NO_TABLES:
        if head.startswith(mark):
            raise UnreadableFileError("file_unreadable", what)
    # By content and not by name: people rename exports.
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0")):
        yield from open_sheets(con, path)
    elif _is_markup(head):
        raise UnreadableFileError(
            "file_unreadable",
            "a web page or XML under the name of a table; open it and save it as XLSX or CSV",
        )
    else:
        yield open_text(con, path, scratch)


def _unpacked(path: Path, target: Path) -> Path:
    try:
        with gzip.open(path) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFileError("file_unreadable", f"packed by gzip, but broken: {error}") from error
    return target


def _is_markup(head: bytes) -> bool:
    begin = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    return begin.startswith(
        (b"<html", b"<!doctype", b"<?xml", b"<table", b"<meta", b"<head", b"mime-version")
    )
