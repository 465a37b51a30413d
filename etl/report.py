"""``report.json``: what was read, what was kept, what is observed and what a model or a person made."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from duckdb import DuckDBPyConnection

from etl.io.parts import Part
from etl.steps.plate_kind import plate_kind

# A day is partial if it lacks more hours than this, or has less than this share of the median day.
MOST_SILENT_HOURS: Final = 4
LEAST_SHARE_OF_MEDIAN: Final = 0.35


def copies_of(parts: Sequence[Part]) -> dict[str, str]:
    """Which file is a byte copy of which: the first of equal ones, by name, counts as the original."""
    first: dict[str, str] = {}
    answer: dict[str, str] = {}
    for part in parts:
        original = first.setdefault(part.sha256, part.name)
        if original != part.name:
            answer[part.name] = original
    return answer


def merge_counts(parts: Sequence[Part], kept: int) -> dict[str, Any]:
    """The report's counts of reading and merging.

    ``rows_read = rows_kept + rows_duplicate + rejected rows``; a reason that begins with ``file_`` counts
    files.
    """
    copies = copies_of(parts)
    rejected: Counter[str] = Counter()
    for part in parts:
        rejected.update(part.rejected)
        if part.problem:
            rejected[part.problem] += 1
    good = sum(part.rows for part in parts)
    return {
        "rows_read": good + refused_rows(parts),
        "rows_kept": kept,
        "rows_duplicate": good - kept,
        "rejected": dict(sorted(rejected.items())),
        "files": [
            {
                "name": part.name,
                "rows": part.rows,
                "encoding": part.encoding,
                "copy_of": copies.get(part.name),
            }
            for part in parts
        ],
    }


def refused_rows(parts: Sequence[Part]) -> int:
    """Rows that could not be understood, over all files."""
    return sum(sum(part.rejected.values()) for part in parts)


def describe(con: DuckDBPyConnection, expanded: str) -> dict[str, Any]:
    """The report's facts about the finished passes, a view or table named ``expanded``."""
    rows = con.execute(
        f"SELECT CAST(GCSJ AS DATE)::VARCHAR AS day, count(*), count(DISTINCT hour(GCSJ)) FROM {expanded} "
        "GROUP BY day ORDER BY day"
    ).fetchall()
    usual = statistics.median(n for _, n, _ in rows) if rows else 0
    observed, total = con.execute(
        f"SELECT count(*) FILTER (WHERE ORIGIN = 'observed'), count(*) FROM {expanded}"
    ).fetchall()[0]
    kinds = dict(
        con.execute(f"SELECT {plate_kind('HPHM')} AS kind, count(*) FROM {expanded} GROUP BY kind").fetchall()
    )
    return {
        "days": [
            {
                "day": day,
                "rows": n,
                "partial": 24 - hours > MOST_SILENT_HOURS or n < LEAST_SHARE_OF_MEDIAN * usual,
            }
            for day, n, hours in rows
        ],
        "observed_share": round(observed / total, 6) if total else 0.0,
        "plates": {
            "whole": kinds.get("whole", 0),
            "masked": kinds.get("masked", 0),
            "malformed": kinds.get("malformed", 0) + kinds.get("none", 0),
        },
    }


def build_report(
    merged: Mapping[str, Any], imputed: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[str, Any]:
    """Puts the report together, keys in the contract's order."""
    return {
        **{key: merged[key] for key in ("rows_read", "rows_kept", "rows_duplicate", "rejected", "files")},
        "days": described["days"],
        "observed_share": described["observed_share"],
        "imputed": dict(imputed),
        "plates": described["plates"],
    }
