"""One raw file → its part: typed rows in Parquet, in order of time, the refused ones beside them, and notes.

What was read is kept under a digest of the file's name and bytes, so a second run costs nothing. Beside it
lies one small note for each file, by which a file that has not changed is known without being opened.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import duckdb

from etl.io.delimited import forget_rejects
from etl.io.engine import engine
from etl.io.part_table import DayNote, write_table
from etl.io.tables import SUFFIXES, UnreadableFileError, open_tables
from kakou.errors import RawFolderError
from kakou.fields import FIELDS_8
from kakou.whole_files import draft_of, scratch_folder, write_json

# Raised whenever reading changes, so that parts of an older version are read anew.
READER_VERSION: Final = 5
# In each output folder; a run holds it as its lock.
OUTPUT_MARK: Final = "steps/.lock"
Refused = tuple[str, int | None, str, str]  # sheet, row, reason, text


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a raw file: ``sheet`` is "" for the first, ``#2`` for the second; ``days`` in order."""

    sheet: str
    days: dict[str, DayNote]

    @property
    def rows(self) -> int:
        """Its passes."""
        return sum(day.rows for day in self.days.values())


@dataclass(frozen=True, slots=True)
class Part:
    """How a raw file was read.

    Attributes:
        name: relative name in the raw folder.
        sha256: of the file's bytes; equal for byte copies.
        rows: good passes in the part; ``rejected`` counts the others by reason.
        problem: why the whole file was set aside; empty if it was read.
        tables: the tables of the part, one per sheet.
        missing: fields for which the file has no column; they are ``-`` or empty.
        read_as: the byte copy whose tables these are, so their SOURCE names it; "" for its own.
    """

    name: str
    sha256: str
    encoding: str | None = None
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    tables: tuple[Table, ...] = ()
    missing: tuple[str, ...] = ()
    read_as: str = ""

    @property
    def files(self) -> list[str]:
        """Names of its Parquet files below parts/."""
        return [day.file for table in self.tables for day in table.days.values()]


def list_raw_files(raw: Path) -> list[str]:
    """Relative names of the tables below ``raw``, sorted; those in an output folder of ours are none.

    Raises:
        RawFolderError: no such folder, or it holds no table.
    """
    if raw.is_file():
        raise RawFolderError(
            f"{raw} is a file; name the folder that it lies in, {raw.parent}, with --raw or RAW=."
        )
    if not raw.is_dir():
        raise RawFolderError(f"Raw folder {raw} does not exist; name another with --raw or RAW=.")
    outputs = {mark.parents[1] for mark in raw.rglob(OUTPUT_MARK)} - {raw}
    names = sorted(
        path.relative_to(raw).as_posix()
        for path in raw.rglob("*")
        if path.is_file()
        and path.suffix.lower() in SUFFIXES
        and not path.name.startswith((".", "~$"))
        and not outputs.intersection(path.parents)
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


def reader(out: Path, threads: int | None = None) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    """The engine that ``read_part`` reads with; whoever reads many files opens it once."""
    return engine(out / "parts", threads=threads, joinable=True)


def read_part(
    raw: Path,
    name: str,
    out: Path,
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    known: Mapping[str, Part] | None = None,
) -> Part:
    """Reads one raw file into ``out/parts``; does nothing if that was done and the bytes are the same.

    A file that cannot be opened is set aside for this time only: nothing of it is remembered.

    Args:
        con: from ``reader``; None opens one.
        known: parts by digest; of a file with the same bytes as one of them nothing is read but the bytes.
    """
    done = load_part(raw, name, out)
    if done and not (done.read_as and known is None):
        return done
    path = raw / name
    try:
        state = path.stat()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        closed = Part(name, f"none {name}", problem="file_not_opened")
        _write_lines(out, closed, [("", None, closed.problem, str(error.strerror))])
        return closed
    part = _stored(out, name, digest)
    if part is None or (part.read_as and known is None):
        twin = known.get(digest) if known else None
        part = replace(twin, name=name, read_as=twin.name) if twin else _read(path, name, out, digest, con)
        write_json(_content(out, name, digest).with_suffix(".json"), asdict(part))
    _write_refused(out, part)
    note = {"name": name, "size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": digest}
    write_json(out / "parts" / f"{safe_name(name)}.json", note)
    return part


def _content(out: Path, name: str, digest: str) -> Path:
    """Stem of all files that hold what was read from these bytes under this name, which SOURCE repeats.

    The engine's version is part of it, as its hashes, which tell copies of days, may differ with it.
    """
    what = f"{READER_VERSION} {duckdb.__version__} {digest} {name}"
    return out / "parts" / hashlib.sha256(what.encode()).hexdigest()[:32]


def _loaded(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _stored(out: Path, name: str, digest: str) -> Part | None:
    """What was read from these bytes under this name before."""
    try:
        note = _loaded(_content(out, name, digest).with_suffix(".json"))
        tables = tuple(
            Table(one["sheet"], {day: DayNote(**facts) for day, facts in one["days"].items()})
            for one in note.pop("tables")
        )
        part = Part(tables=tables, missing=tuple(note.pop("missing", ())), **note)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return part if all((out / "parts" / file).exists() for file in part.files) else None


def _read(path: Path, name: str, out: Path, digest: str, given: duckdb.DuckDBPyConnection | None) -> Part:
    stem, parts = _content(out, name, digest), out / "parts"
    tables: list[Table] = []
    refused: list[Refused] = []
    encoding, problem = None, ""
    missing: set[str] = set()
    own = nullcontext(given) if given else reader(out)
    with own as con, scratch_folder(parts, stem.name) as scratch:
        # What a file that could not be read left behind in the engine must not count for this one.
        forget_rejects(con)
        try:
            for number, table in enumerate(open_tables(con, path, scratch / "utf8")):
                sheet = f"#{number + 1}" if number else ""
                written, bad = write_table(con, table, name + sheet, scratch, f"{stem}-{number}")
                tables.append(Table(sheet, written))
                refused += [(sheet, row, reason, text) for row, reason, text in bad]
                encoding = table.encoding
                missing |= set(FIELDS_8) - set(table.mapping or FIELDS_8)
        except (UnreadableFileError, duckdb.InvalidInputException) as error:
            problem = error.reason if isinstance(error, UnreadableFileError) else "file_unreadable"
            refused, tables, encoding = [("", None, problem, str(error).splitlines()[0])], [], None
    refused.sort(key=lambda one: (one[0], one[1] or 0))
    write_json(stem.with_suffix(".refused"), refused)
    counts = {} if problem else dict(sorted(Counter(reason for _, _, reason, _ in refused).items()))
    rows = sum(table.rows for table in tables)
    lacking = tuple(field for field in FIELDS_8 if field in missing)
    return Part(name, digest, encoding, rows, counts, problem, tuple(tables), lacking)


def _write_refused(out: Path, part: Part) -> None:
    if not part.rejected and not part.problem:
        (out / "rejected" / f"{safe_name(part.name)}.jsonl").unlink(missing_ok=True)
        return
    stem = _content(out, part.read_as or part.name, part.sha256)
    _write_lines(out, part, json.loads(stem.with_suffix(".refused").read_text("utf-8")))


def _write_lines(out: Path, part: Part, refused: Sequence[Refused]) -> None:
    """``rejected/<file>.jsonl``: the refused rows with their places."""
    with (
        draft_of(out / "rejected" / f"{safe_name(part.name)}.jsonl") as draft,
        draft.open("w", encoding="utf-8") as file,
    ):
        for sheet, row, reason, text in refused:
            line = {"file": part.name + sheet, "row": row, "reason": reason, "text": text}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
