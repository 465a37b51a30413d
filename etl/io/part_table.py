"""Edge: one table of a raw file → finished rows in Parquet, one file for each day, in order of time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from etl.io.delimited import blank_lines, forget_rejects, mended, refused_lines
from etl.io.engine import PARQUET
from etl.io.raw_table import RawTable, Refused, UnreadableFileError
from etl.steps.normalise import normalise
from etl.steps.origin import Sketch, sketch_sql
from etl.steps.sql_text import literal
from kakou.fields import FIELDS_8

_FIELDS: Final = ", ".join(FIELDS_8)
_HOLDS_NOTHING: Final = " ,;|\t\r\n\"'\x1a\ufeff"


@dataclass(frozen=True, slots=True)
class DayNote:
    """The passes of one day of a table: the file below parts/, how many, and the sketch that tells copies."""

    file: str
    rows: int
    sketch: dict[str, Any]

    def as_sketch(self) -> Sketch:
        """The sketch as the rules take it."""
        return Sketch.from_json(self.sketch)


def write_table(
    con: duckdb.DuckDBPyConnection, table: RawTable, source: str, scratch: Path, stem: str
) -> tuple[dict[str, DayNote], list[Refused]]:
    """Writes the passes of a table, sorted by GCSJ, GCXH and row.

    Columns are the 8 fields, ORIGIN (observed), IMPUTED (empty) and SOURCE (``source`` and row). The rows are
    read once; only if some are unusual or no passes, or lines were left out, the table is looked at again.

    Args:
        scratch: folder for files on the way. stem: where the files go, the day is added.

    Returns:
        the note of each day, in order, and the refused rows.

    Raises:
        UnreadableFileError: the engine finds no way through the text.
    """
    if not table.mapping:
        return {}, list(table.refused)
    try:
        whole, refused = _passes(con, table, source, scratch)
        over_lines = any("\n" in text for _, _, text in refused)
    except duckdb.InvalidInputException as error:
        if not table.delimited:
            raise UnreadableFileError("file_unreadable", str(error).splitlines()[0]) from error
        over_lines = True
    if table.delimited and over_lines:
        forget_rejects(con)
        whole, refused = _passes(con, mended(con, table), source, scratch)
    return _by_day(con, whole, stem), [one for one in refused if one[2].strip(_HOLDS_NOTHING)]


def _passes(
    con: duckdb.DuckDBPyConnection, table: RawTable, source: str, scratch: Path
) -> tuple[Path, list[Refused]]:
    """The passes of a table in one file, numbered as in the raw file, and the rows that are none."""
    whole = scratch / "whole.parquet"
    known = {row: (row, reason, text) for row, reason, text in table.refused}
    good = _written(_typed(table, careful=False), source, whole)
    refused = [known.get(one[0], one) for one in refused_lines(con)] if table.delimited else []
    blanks: tuple[int, ...] = ()
    if table.text and table.records != good + len(refused):
        blanks = blank_lines(table.text, table.above)
    skipped = sorted([*(row for row, _, _ in refused), *blanks])
    # Bad rows, and line breaks inside values, leave lines that blank ones do not explain.
    if table.records != good + len(refused) + len(blanks):
        con.execute("DROP TABLE IF EXISTS looked_at")
        _typed(table, careful=True).create("looked_at")
        forget_rejects(con)
        _written(con.table("looked_at"), source, whole)
        refused = [*refused, *_bad_rows(con.table("looked_at"), skipped)]
        con.execute("DROP TABLE looked_at")
    return _renumbered(con, whole, source, skipped) if skipped else whole, refused


def _typed(table: RawTable, *, careful: bool) -> duckdb.DuckDBPyRelation:
    return normalise(
        table.rows,
        table.mapping,
        odd=table.odd,
        broken=table.broken,
        wide=table.wide,
        rounded=table.rounded,
        careful=careful,
    )


def _written(typed: duckdb.DuckDBPyRelation, source: str, whole: Path) -> int:
    place = f"{literal(source + ':')} || ROW"
    written = typed.query(
        "typed",
        f"COPY (SELECT {_FIELDS}, 'observed' AS ORIGIN, '' AS IMPUTED, {place} AS SOURCE FROM typed "
        f"WHERE REASON IS NULL ORDER BY GCSJ, GCXH, ROW) TO {literal(str(whole))} {PARQUET}",
    )
    return int(written.fetchall()[0][0])


def _bad_rows(typed: duckdb.DuckDBPyRelation, skipped: Sequence[int]) -> list[Refused]:
    shown = ", ".join("WRITTEN" if name == "GCSJ" else name for name in FIELDS_8)
    bad = typed.query(
        "typed", f"SELECT ROW, REASON, concat_ws(',', {shown}) FROM typed WHERE REASON IS NOT NULL"
    ).fetchall()
    since, shifts = zip(*[(0, 0), *_shifts(skipped)], strict=True)
    return [(row + shifts[bisect_right(since, row) - 1], reason, text) for row, reason, text in bad]


def _shifts(skipped: Sequence[int]) -> list[tuple[int, int]]:
    """From which running number on rows stand how many lines further down: lines left out have no number."""
    # Line i (from 0) of the skipped ones stands before every row whose running number is at least line - i.
    return sorted({line - i: i + 1 for i, line in enumerate(skipped)}.items())


def _renumbered(con: duckdb.DuckDBPyConnection, whole: Path, source: str, skipped: Sequence[int]) -> Path:
    """Gives each row the number that it has in the file."""
    second = whole.with_name("renumbered.parquet")
    steps = ", ".join(str(step) for step in _shifts(skipped))
    row = f"CAST(SOURCE[{len(source) + 2}:] AS INTEGER)"
    place = f"{literal(source + ':')} || (n + coalesce(s.shift, 0))"
    con.execute(
        f"COPY (SELECT t.* EXCLUDE (n) REPLACE ({place} AS SOURCE) "
        f"FROM (SELECT *, {row} AS n FROM read_parquet({literal(str(whole))})) t "
        f"ASOF LEFT JOIN (VALUES {steps}) s(since, shift) ON t.n >= s.since ORDER BY GCSJ, GCXH, n) "
        f"TO {literal(str(second))} {PARQUET}"
    )
    return second


def _by_day(con: duckdb.DuckDBPyConnection, whole: Path, stem: str) -> dict[str, DayNote]:
    """One file for each day; that of a single day is the whole one."""
    source = f"read_parquet({literal(str(whole))})"
    days = con.execute(
        f"SELECT CAST(GCSJ AS DATE)::VARCHAR AS day, count(*), {sketch_sql()} FROM {source} "
        "GROUP BY day ORDER BY day"
    ).fetchall()
    notes = {}
    for day, rows, hashes, to_the_minute in days:
        part = whole
        if len(days) > 1:
            part = whole.with_name(f"{day}.parquet")
            con.execute(
                f"COPY (FROM {source} WHERE GCSJ >= DATE '{day}' AND GCSJ < DATE '{day}' + 1) "
                f"TO {literal(str(part))} {PARQUET}"
            )
        target = Path(f"{stem}-{day}.parquet")
        part.replace(target)
        notes[day] = DayNote(target.name, rows, Sketch.of(hashes, to_the_minute).as_json())
    return notes
