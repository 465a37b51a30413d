"""Many parts → one list of passes, each pass once, in order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from etl.steps.plate_kind import completes
from etl.steps.sql_text import literal
from kakou.fields import FIELDS_8

_FIELDS: Final = ", ".join(FIELDS_8)


def passes_of(files: Sequence[str]) -> str:
    """SQL: the passes of finished Parquet files, one file after the other: 8 fields, ORIGIN, IMPUTED,
    SOURCE."""
    return f"SELECT {_FIELDS}, ORIGIN, IMPUTED, SOURCE FROM read_parquet([{', '.join(map(literal, files))}])"


def repeated_ids(passes: str) -> str:
    """SQL: hashes ``h`` of the ids that occur more than once (and, very rarely, of two ids with one hash)."""
    return f"SELECT hash(GCXH) AS h FROM ({passes}) GROUP BY h HAVING count(*) > 1"


def judged(passes: str, gates: Mapping[str, str]) -> str:
    """SQL: what becomes of each row whose id occurs more than once.

    Of equal ids the first row stays. The others are the same pass again, if gate, plate and time of day are
    the same; else the id was given twice, and a person must look. The same pass may have been exported once
    with a masked plate and once with the whole one: then the whole one stays, as its completion is proven.

    Args:
        passes: SQL of such rows: 8 fields, SOURCE, and ``PLACE``, the order in which the first is told.
        gates: codename of each spelling, so that two spellings of one gate are no contradiction.

    Returns:
        SQL with the columns of ``passes`` and ``REASON`` (NULL for the row that stays, ``duplicate`` or
        ``id_conflict``), ``KEPT`` (SOURCE of the row that stays), ``SAME_TIME`` (its time is that of the
        first).
    """
    codes = (
        f"MAP {{{', '.join(f'{literal(name)}: {literal(code)}' for name, code in sorted(gates.items()))}}}"
    )
    first = "first_value({0}) OVER (PARTITION BY GCXH ORDER BY PLACE) AS FIRST_{0}"
    better, worse = completes("FIRST_HPHM", "HPHM"), completes("HPHM", "FIRST_HPHM")
    return f"""
        WITH coded AS (SELECT *, coalesce({codes}[KKMC], KKMC) AS GATE FROM ({passes})),
        with_first AS (
            SELECT *, {first.format("GCSJ")}, {first.format("HPHM")}, {first.format("GATE")} FROM coded
        ),
        compared AS (
            SELECT *, GATE = FIRST_GATE AND GCSJ = FIRST_GCSJ AND {better} AS completes,
                GATE = FIRST_GATE AND CAST(GCSJ AS TIME) = CAST(FIRST_GCSJ AS TIME)
                    AND (HPHM = FIRST_HPHM OR {better} OR {worse}) AS same
            FROM with_first
        ),
        ordered AS (
            SELECT *, row_number() OVER chosen AS rank, first_value(SOURCE) OVER chosen AS KEPT FROM compared
            WINDOW chosen AS (PARTITION BY GCXH ORDER BY completes DESC, PLACE)
        )
        SELECT {_FIELDS}, SOURCE, PLACE, KEPT, GCSJ = FIRST_GCSJ AS SAME_TIME,
            CASE WHEN rank = 1 THEN NULL WHEN same THEN 'duplicate' ELSE 'id_conflict' END AS REASON
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
