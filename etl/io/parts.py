"""One raw file → its part: typed rows in Parquet, the refused ones beside them, and a note on how it was
read."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from etl.io.atomic import draft_of, write_json
from etl.io.engine import engine
from etl.io.tables import SUFFIXES, RawTable, UnreadableFileError, open_tables, refused_lines
from etl.steps.normalise import normalise
from etl.steps.sql_text import literal
from kakou.errors import RawFolderError
from kakou.fields import FIELDS_8

# Raised whenever reading changes, so that parts of an older version are read anew.
READER_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Part:
    """How a raw file was read.

    Attributes:
        name: relative name in the raw folder.
        sha256: of the file's bytes; equal for byte copies.
        rows: good passes in the part; ``rejected`` counts the others by reason.
        problem: why the whole file was set aside; empty if it was read.
        tables: names of the Parquet files of the part, one per sheet.
    """

    name: str
    size: int
    mtime_ns: int
    sha256: str
    encoding: str | None = None
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    tables: tuple[str, ...] = ()
    version: int = READER_VERSION


def list_raw_files(raw: Path) -> list[str]:
    """Relative names of the tables below ``raw``, sorted.

    Raises:
        RawFolderError: no such folder, or it holds no table.
    """
    if not raw.is_dir():
        raise RawFolderError(f"Raw folder {raw} does not exist; name another with --raw or RAW=.")
    names = sorted(
        path.relative_to(raw).as_posix()
        for path in raw.rglob("*")
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith((".", "~$"))
    )
    if not names:
        raise RawFolderError(f"Raw folder {raw} holds no CSV or XLSX file; name another with --raw or RAW=.")
    return names


def safe_name(name: str) -> str:
    """File name for the part of ``name``: readable, and different for different names."""
    plain = re.sub(r"[^\w.-]+", "_", name)
    return f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def load_part(raw: Path, name: str, out: Path) -> Part | None:
    """The note on ``name`` if its part is there and of the file as it is now, else None."""
    note = out / "parts" / f"{safe_name(name)}.json"
    try:
        stored = json.loads(note.read_text(encoding="utf-8"))
        part = Part(**{**stored, "tables": tuple(stored["tables"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    state = (raw / name).stat()
    current = (part.version, part.size, part.mtime_ns) == (READER_VERSION, state.st_size, state.st_mtime_ns)
    return part if current and all((out / "parts" / table).exists() for table in part.tables) else None


def read_part(raw: Path, name: str, out: Path, *, threads: int | None = None) -> Part:
    """Reads one raw file into ``out/parts``; does nothing if that was done and the file is the same."""
    done = load_part(raw, name, out)
    if done:
        return done
    path = raw / name
    try:
        state = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RawFolderError(
            f"{path} cannot be opened ({error.strerror}); mend it or take it out."
        ) from error
    facts: dict[str, Any] = {
        "name": name,
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
        "sha256": digest,
    }
    parts = out / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    tables: list[str] = []
    refused: list[tuple[int | None, str, str]] = []
    encoding, rows = None, 0
    with engine(parts, threads=threads) as con, draft_of(parts / f"{safe_name(name)}.utf8") as scratch:
        scratch.touch()
        try:
            for table in open_tables(con, path, scratch):
                target = parts / f"{safe_name(name)}.{len(tables)}.parquet"
                good, bad = _write_table(con, table, target)
                rows, encoding = rows + good, table.encoding
                refused += bad
                tables.append(target.name)
            part = Part(
                **facts, encoding=encoding, rows=rows, tables=tuple(tables),
                rejected=dict(sorted(Counter(reason for _, reason, _ in refused).items())),
            )  # fmt: skip
        except (UnreadableFileError, duckdb.InvalidInputException) as error:
            reason = error.reason if isinstance(error, UnreadableFileError) else "file_unreadable"
            refused = [(None, reason, str(error).splitlines()[0])]
            part = Part(**facts, problem=reason)
    (parts / f"{safe_name(name)}.utf8").unlink(missing_ok=True)
    _write_refused(out, name, refused)
    write_json(parts / f"{safe_name(name)}.json", asdict(part))
    return part


def _write_table(
    con: duckdb.DuckDBPyConnection, table: RawTable, target: Path
) -> tuple[int, list[tuple[int | None, str, str]]]:
    """Writes one table; returns the number of good rows and the refused ones as (row, reason, text)."""
    typed = normalise(table.rows, table.mapping, odd=table.odd, broken=table.broken, wide=table.wide)
    with draft_of(target) as draft:
        typed.query("typed", f"COPY typed TO {literal(str(draft))} (FORMAT parquet, COMPRESSION snappy)")
        refused = refused_lines(con) if table.delimited else []
        if refused:
            _renumber(con, draft, [line for line, _, _ in refused])
        shown = ", ".join(f"CAST({name} AS VARCHAR)" for name in FIELDS_8)
        source = f"read_parquet({literal(str(draft))})"
        bad = con.execute(
            f"SELECT ROW, REASON, concat_ws(',', {shown}) FROM {source} WHERE REASON IS NOT NULL"
        ).fetchall()
        good = con.execute(f"SELECT count(*) FROM {source} WHERE REASON IS NULL").fetchall()
    return int(good[0][0]), [*refused, *bad]


def _renumber(con: duckdb.DuckDBPyConnection, draft: Path, lines: list[int]) -> None:
    """Gives each row the number it has in the file: refused lines were not counted while reading."""
    second = draft.with_suffix(".renumbered")
    # Line i (from 0) of the refused ones stands before every row whose running number is at least line - i.
    shifts = {line - i: i + 1 for i, line in enumerate(lines)}
    steps = ", ".join(f"({since}, {shift})" for since, shift in shifts.items())
    source = literal(str(draft))
    con.execute(
        "COPY (SELECT t.* REPLACE (CAST(t.ROW + coalesce(s.shift, 0) AS INTEGER) AS ROW) "
        f"FROM read_parquet({source}) t ASOF LEFT JOIN (VALUES {steps}) s(since, shift) "
        "ON t.ROW >= s.since ORDER BY t.ROW) "
        f"TO {literal(str(second))} (FORMAT parquet, COMPRESSION snappy)"
    )
    second.replace(draft)


def _write_refused(out: Path, name: str, refused: list[tuple[int | None, str, str]]) -> None:
    target = out / "rejected" / f"{safe_name(name)}.jsonl"
    if not refused:
        target.unlink(missing_ok=True)
        return
    with draft_of(target) as draft, draft.open("w", encoding="utf-8") as file:
        for row, reason, text in sorted(refused, key=lambda one: one[0] or 0):
            line = {"file": name, "row": row, "reason": reason, "text": text}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
