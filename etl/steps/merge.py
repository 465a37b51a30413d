"""Many parts → one list of passes, each pass once, in order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from etl.steps.plate_kind import completes
from etl.steps.sql_text import literal
from etl.steps.standardise import plate_type
from kakou.fields import FIELDS_8, MISSING

_FIELDS: Final = ", ".join(FIELDS_8)
# What a pass may know besides its id, gate, time and plate.
_TOLD: Final = ("XZQHMC", "FXLX", "PLATE_TYPE", "CLPPXH")


def passes_of(files: Sequence[str]) -> str:
    """SQL: the passes of finished Parquet files, one file after the other: 8 fields, ORIGIN, IMPUTED,
    SOURCE."""
    return f"SELECT {_FIELDS}, ORIGIN, IMPUTED, SOURCE FROM read_parquet([{', '.join(map(literal, files))}])"


def repeated_ids(passes: str) -> str:
    """SQL: hashes ``h`` of the ids that occur more than once (and, very rarely, of two ids with one hash)."""
    return f"SELECT hash(GCXH) AS h FROM ({passes}) GROUP BY h HAVING count(*) > 1"


def judged(passes: str, gates: Mapping[str, str]) -> str:
    """SQL: what becomes of each row whose id occurs more than once.

    The first row tells which pass the id is; of the rows of this very pass (gate, time and plate) the one
    that knows most stays: a whole plate before a masked one that it proves, then the most known fields. Of
    the others, those that say nothing beyond it are duplicates, also under another date. Any other row holds
    something that would be lost, or is another pass under the same id, and a person must look.

    Args:
        passes: SQL of such rows: 8 fields, SOURCE, and ``PLACE``, the order in which the first is told.
        gates: codename of each spelling, so that two spellings of one gate are no contradiction.

    Returns:
        SQL with the columns of ``passes`` and ``REASON`` (NULL for the row that stays, ``duplicate`` or
        ``id_conflict``), ``KEPT`` (SOURCE of the row that stays), ``SAME_TIME`` (its time is that of the
        row that stays).
    """
    spelt = ", ".join(f"{literal(name)}: {literal(code)}" for name, code in sorted(gates.items()))
    known = " + ".join(f"CAST({name} NOT IN ('', '{MISSING}') AS INTEGER)" for name in _TOLD)
    first = "first_value({0}) OVER (PARTITION BY GCXH ORDER BY PLACE) AS FIRST_{0}"
    kept = ", ".join(
        f"first_value({name}) OVER chosen AS KEPT_{name}" for name in ("GCSJ", "HPHM", "GATE", *_TOLD)
    )
    nothing_more = " AND ".join(f"({name} IN ('', '{MISSING}') OR {name} = KEPT_{name})" for name in _TOLD)
    better, worse = completes("FIRST_HPHM", "HPHM"), completes("HPHM", "FIRST_HPHM")
    return f"""
        WITH coded AS (
            SELECT *, coalesce(MAP {{{spelt}}}[KKMC], KKMC) AS GATE, {plate_type("HPZL")} AS PLATE_TYPE
            FROM ({passes})
        ),
        with_first AS (
            SELECT *, {first.format("GCSJ")}, {first.format("HPHM")}, {first.format("GATE")} FROM coded
        ),
        ranked AS (
            SELECT *, CASE WHEN GATE <> FIRST_GATE OR GCSJ <> FIRST_GCSJ THEN -1
                WHEN {better} THEN 8 + {known}
                WHEN HPHM = FIRST_HPHM OR {worse} THEN {known} ELSE -1 END AS KNOWS
            FROM with_first
        ),
        ordered AS (
            SELECT *, row_number() OVER chosen AS RANK, first_value(SOURCE) OVER chosen AS KEPT, {kept}
            FROM ranked WINDOW chosen AS (PARTITION BY GCXH ORDER BY KNOWS DESC, PLACE)
        )
        SELECT {_FIELDS}, SOURCE, PLACE, KEPT, GCSJ = KEPT_GCSJ AS SAME_TIME, CASE WHEN RANK = 1 THEN NULL
            WHEN GATE = KEPT_GATE AND CAST(GCSJ AS TIME) = CAST(KEPT_GCSJ AS TIME) AND {nothing_more}
                AND (HPHM = KEPT_HPHM OR {completes("HPHM", "KEPT_HPHM")}) THEN 'duplicate'
            ELSE 'id_conflict' END AS REASON
        FROM ordered"""


def one_day(passes: str, left_out: str | None, marked: str | None) -> str:
    """SQL: the passes of one day, each once, sorted by GCSJ then GCXH.

    Args:
        passes: SQL of the day's passes from all parts.
        left_out: SQL of the ``SOURCE`` of the rows that do not stay, None for none.
        marked: SQL of the ``SOURCE`` of the rows that were copied from another day, None for none.
    """
    stays = f" WHERE SOURCE NOT IN ({left_out})" if left_out else ""
    origin = f"CASE WHEN SOURCE IN ({marked}) THEN 'copied' ELSE ORIGIN END" if marked else "ORIGIN"
    return f"SELECT {_FIELDS}, {origin} AS ORIGIN, IMPUTED, SOURCE FROM ({passes}){stays} ORDER BY GCSJ, GCXH"
