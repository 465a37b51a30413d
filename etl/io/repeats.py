"""Edge: ids that occur more than once; which of their rows stay, and which are set aside as conflicts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from etl.io.engine import PARQUET
from etl.io.parts import Part
from etl.io.plan import digest_of
from etl.registry import resolve
from etl.steps.merge import judged, passes_of, repeated_ids
from etl.steps.sql_text import literal
from kakou.fields import FIELDS_8
from kakou.whole_files import draft_of

CONFLICTS: Final = "repeated_ids.jsonl"


def write_left_out(con: duckdb.DuckDBPyConnection, out: Path, files: Sequence[Path]) -> str:
    """Judges the rows of repeated ids, writes those that do not stay, and returns the file's name.

    Args:
        files: all passes; of equal ids the row in the earlier file stays.

    Returns:
        name below days/, "" if every id is there once.
    """
    if not files:
        return ""
    everything = passes_of([str(file) for file in files])
    con.execute(f"CREATE TEMP TABLE repeated AS {repeated_ids(everything)}")
    if not con.execute("SELECT count(*) FROM repeated").fetchall()[0][0]:
        return ""
    con.execute(
        "CREATE TEMP TABLE again AS SELECT *, row_number() OVER () AS PLACE FROM "
        f"({everything}) WHERE hash(GCXH) IN (SELECT h FROM repeated)"
    )
    spellings = con.execute("SELECT KKMC, min(XZQHMC) FROM again GROUP BY KKMC ORDER BY KKMC").fetchall()
    codes = {spelling: gate.kkmc for spelling, gate in resolve(spellings).items()}
    con.execute(
        f"CREATE TEMP TABLE judged AS SELECT * FROM ({judged('FROM again', codes)}) WHERE REASON IS NOT NULL"
    )
    digest = con.execute("SELECT bit_xor(hash(SOURCE, GCSJ, REASON)), count(*) FROM judged").fetchall()[0]
    if not digest[1]:
        return ""
    name = f"left-out-{digest_of(*digest)}.parquet"
    with draft_of(out / "days" / name) as draft:
        con.execute(f"COPY (FROM judged ORDER BY GCSJ, SOURCE) TO {literal(str(draft))} {PARQUET}")
    return name


def left_out_rows(out: Path, name: str) -> str:
    """SQL of the rows in the file that ``write_left_out`` named."""
    return f"read_parquet({literal(str(out / 'days' / name))})"


def counted(con: duckdb.DuckDBPyConnection, out: Path, name: str) -> tuple[int, int]:
    """Counts duplicates and conflicts, and writes the conflicts among the refused rows, with their places."""
    target = out / "rejected" / CONFLICTS
    counts, conflicts = {}, []
    if name:
        rows = left_out_rows(out, name)
        counts = dict(con.execute(f"SELECT REASON, count(*) FROM {rows} GROUP BY REASON").fetchall())
        shown = ", ".join(f"CAST({field} AS VARCHAR)" for field in FIELDS_8)
        conflicts = con.execute(
            f"SELECT SOURCE, KEPT, concat_ws(',', {shown}) FROM {rows} WHERE REASON = 'id_conflict' "
            "ORDER BY SOURCE"
        ).fetchall()
    if not conflicts:
        target.unlink(missing_ok=True)
        return counts.get("duplicate", 0), 0
    with draft_of(target) as draft, draft.open("w", encoding="utf-8") as file:
        for source, kept, text in conflicts:
            name, _, row = source.rpartition(":")
            line = {"file": name, "row": int(row), "reason": "id_conflict", "text": text, "kept": kept}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return counts.get("duplicate", 0), len(conflicts)


def content_copies(
    con: duckdb.DuckDBPyConnection, out: Path, name: str, parts: Sequence[Part]
) -> dict[str, str]:
    """Files all of whose passes lie in one other file of as many passes, at the same times."""
    if not name:
        return {}
    rows = {part.name: part.rows for part in parts}
    file = "regexp_replace({0}, '(#[0-9]+)?:[0-9]+$', '')"
    pairs = con.execute(
        f"SELECT {file.format('SOURCE')} AS copy, {file.format('KEPT')} AS original, count(*) AS n "
        f"FROM {left_out_rows(out, name)} WHERE REASON = 'duplicate' AND SAME_TIME GROUP BY copy, original"
    ).fetchall()
    return {
        copy: original
        for copy, original, n in pairs
        if copy != original and n == rows.get(copy) == rows.get(original)
    }


def digests_by_day(con: duckdb.DuckDBPyConnection, out: Path, name: str) -> dict[str, list[Any]]:
    """For each day with rows that do not stay, a digest of them and their file."""
    if not name:
        return {}
    days = con.execute(
        "SELECT CAST(GCSJ AS DATE)::VARCHAR AS day, bit_xor(hash(SOURCE, REASON)), count(*) "
        f"FROM {left_out_rows(out, name)} GROUP BY day"
    ).fetchall()
    return {day: [digest, count] for day, digest, count in days}
