"""One raw file → its part: typed rows in Parquet, in order of time, the refused ones beside them, and notes.

What was read is kept under the digest of the file's bytes, so a byte copy, a renamed file or a second run
costs nothing. Beside it lies one small note for each file name.
"""

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
from etl.steps.origin import Sketch, sketch_sql
from etl.steps.sql_text import literal
from kakou.errors import RawFolderError
from kakou.fields import FIELDS_8
from kakou.whole_files import scratch_folder

# Raised whenever reading changes, so that parts of an older version are read anew.
READER_VERSION: Final = 2
Refused = tuple[int | None, str, str]  # row, reason, text


@dataclass(frozen=True, slots=True)
class DayNote:
    """The good passes of one day of a table: how many, and the sketch that tells copies of days."""

    rows: int
    sketch: dict[str, Any]

    def as_sketch(self) -> Sketch:
        """The sketch as the rules take it."""
        return Sketch.from_json(self.sketch)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a raw file, sorted by GCSJ, GCXH, ROW; rows with a REASON are no passes.

    Attributes:
        file: name of its Parquet file. sheet: "" for the first, ``#2`` for the second and so on.
        rows: passes; ``refused`` rows of the Parquet file are none.
        days: by ISO day, in order.
    """

    file: str
    sheet: str
    rows: int
    refused: int
    days: dict[str, DayNote]


@dataclass(frozen=True, slots=True)
class Part:
    """How a raw file was read.

    Attributes:
        name: relative name in the raw folder.
        sha256: of the file's bytes; equal for byte copies.
        rows: good passes in the part; ``rejected`` counts the others by reason.
        problem: why the whole file was set aside; empty if it was read.
        tables: the tables of the part, one per sheet.
    """

    name: str
    sha256: str
    encoding: str | None = None
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    tables: tuple[Table, ...] = ()


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
    try:
        note = _loaded(out / "parts" / f"{safe_name(name)}.json")
        state = (raw / name).stat()
        if (note["size"], note["mtime_ns"]) != (state.st_size, state.st_mtime_ns):
            return None
        return _stored(out, name, str(note["sha256"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_part(raw: Path, name: str, out: Path, *, threads: int | None = None) -> Part:
    """Reads one raw file into ``out/parts``; does nothing if that was done and the bytes are the same."""
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
    part = _stored(out, name, digest) or _read(path, name, out, digest, threads)
    _write_refused(out, name, digest)
    note = {"name": name, "size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": digest}
    write_json(out / "parts" / f"{safe_name(name)}.json", note)
    return part


def _content(out: Path, digest: str) -> Path:
    """Stem of all files that hold what was read from bytes with this digest."""
    return out / "parts" / f"r{READER_VERSION}-{digest[:32]}"


def _loaded(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _stored(out: Path, name: str, digest: str) -> Part | None:
    """What was read from these bytes before, whatever the file was called then."""
    try:
        note = _loaded(_content(out, digest).with_suffix(".json"))
        tables = tuple(
            Table(**{**one, "days": {day: DayNote(**facts) for day, facts in one["days"].items()}})
            for one in note.pop("tables")
        )
        part = Part(name=name, tables=tables, **note)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return part if all((out / "parts" / table.file).exists() for table in tables) else None


def _read(path: Path, name: str, out: Path, digest: str, threads: int | None) -> Part:
    stem, parts = _content(out, digest), out / "parts"
    tables: list[Table] = []
    refused: list[tuple[int | None, str, str, str]] = []
    encoding, problem = None, ""
    with engine(parts, threads=threads) as con, scratch_folder(parts, "read") as scratch:
        try:
            for number, table in enumerate(open_tables(con, path, scratch / "utf8")):
                written, bad = _write_table(con, table, stem.with_suffix(f".{number}.parquet"), number)
                tables.append(written)
                refused += [(row, reason, text, written.sheet) for row, reason, text in bad]
                encoding = table.encoding
        except (UnreadableFileError, duckdb.InvalidInputException) as error:
            problem = error.reason if isinstance(error, UnreadableFileError) else "file_unreadable"
            refused, tables, encoding = [(None, problem, str(error).splitlines()[0], "")], [], None
    with draft_of(stem.with_suffix(".refused")) as draft:
        draft.write_text(
            json.dumps(sorted(refused, key=lambda one: (one[3], one[0] or 0)), ensure_ascii=False)
        )
    counts = {} if problem else dict(sorted(Counter(reason for _, reason, _, _ in refused).items()))
    rows = sum(table.rows for table in tables)
    part = Part(name, digest, encoding, rows, counts, problem, tuple(tables))
    write_json(stem.with_suffix(".json"), {k: v for k, v in asdict(part).items() if k != "name"})
    return part


def _write_table(
    con: duckdb.DuckDBPyConnection, table: RawTable, target: Path, number: int
) -> tuple[Table, list[Refused]]:
    """Writes one table and returns its note and the refused rows as (row, reason, text)."""
    typed = normalise(table.rows, table.mapping, odd=table.odd, broken=table.broken, wide=table.wide)
    order = "ORDER BY GCSJ, GCXH, ROW"
    with draft_of(target) as draft:
        to_draft = f"TO {literal(str(draft))} (FORMAT parquet, COMPRESSION snappy)"
        typed.query("typed", f"COPY (FROM typed {order}) {to_draft}")
        lines = refused_lines(con) if table.delimited else []
        skipped = sorted([*(line for line, _, _ in lines), *table.blanks])
        if skipped:
            _renumber(con, draft, skipped)
        source = f"read_parquet({literal(str(draft))})"
        shown = ", ".join(f"CAST({name} AS VARCHAR)" for name in FIELDS_8)
        bad = con.execute(
            f"SELECT ROW, REASON, concat_ws(',', {shown}) FROM {source} WHERE REASON IS NOT NULL"
        ).fetchall()
        days = con.execute(
            f"SELECT CAST(GCSJ AS DATE)::VARCHAR AS day, count(*), {sketch_sql()} FROM {source} "
            "WHERE REASON IS NULL GROUP BY day ORDER BY day"
        ).fetchall()
    notes = {
        day: DayNote(rows, Sketch.of(hashes, to_the_minute).as_json())
        for day, rows, hashes, to_the_minute in days
    }
    sheet = f"#{number + 1}" if number else ""
    rows = sum(note.rows for note in notes.values())
    return Table(target.name, sheet, rows, len(bad), notes), [*lines, *bad]


def _renumber(con: duckdb.DuckDBPyConnection, draft: Path, skipped: list[int]) -> None:
    """Gives each row the number it has in the file: refused and blank lines were not counted in reading."""
    second = draft.with_suffix(".renumbered")
    # Line i (from 0) of the skipped ones stands before every row whose running number is at least line - i.
    shifts = {line - i: i + 1 for i, line in enumerate(skipped)}
    steps = ", ".join(f"({since}, {shift})" for since, shift in shifts.items())
    con.execute(
        "COPY (SELECT t.* REPLACE (CAST(t.ROW + coalesce(s.shift, 0) AS INTEGER) AS ROW) "
        f"FROM read_parquet({literal(str(draft))}) t ASOF LEFT JOIN (VALUES {steps}) s(since, shift) "
        "ON t.ROW >= s.since ORDER BY GCSJ, GCXH, ROW) "
        f"TO {literal(str(second))} (FORMAT parquet, COMPRESSION snappy)"
    )
    second.replace(draft)


def _write_refused(out: Path, name: str, digest: str) -> None:
    """``rejected/<file>.jsonl``: the refused rows of these bytes under the name that the file has here."""
    target = out / "rejected" / f"{safe_name(name)}.jsonl"
    refused = json.loads(_content(out, digest).with_suffix(".refused").read_text(encoding="utf-8"))
    if not refused:
        target.unlink(missing_ok=True)
        return
    with draft_of(target) as draft, draft.open("w", encoding="utf-8") as file:
        for row, reason, text, sheet in refused:
            line = {"file": name + sheet, "row": row, "reason": reason, "text": text}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
