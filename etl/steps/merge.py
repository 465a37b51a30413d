"""Many parts → one list of passes, each pass once, in order of time."""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyRelation

from kakou.fields import FIELDS_8

_FIELDS = ", ".join(FIELDS_8)


def good_passes(parts: DuckDBPyRelation) -> DuckDBPyRelation:
    """The rows of the parts that are passes; ``parts`` has the 8 fields, ``FILE``, ``ROW`` and ``REASON``."""
    return parts.query("parts", f"SELECT {_FIELDS}, FILE, ROW FROM parts WHERE REASON IS NULL")


def repeated_ids(passes: DuckDBPyRelation) -> DuckDBPyRelation:
    """Hashes ``h`` of the ids that occur more than once (and, very rarely, of two ids with one hash)."""
    return passes.query("passes", "SELECT hash(GCXH) AS h FROM passes GROUP BY h HAVING count(*) > 1")


def merge(
    passes: DuckDBPyRelation, repeated: DuckDBPyRelation | None, names: Sequence[str]
) -> DuckDBPyRelation:
    """Each pass once, sorted by GCSJ then GCXH.

    Args:
        passes: the 8 fields with ``FILE`` (number of the file) and ``ROW``; of equal ids the first in that
            order stays.
        repeated: what ``repeated_ids`` found, None if nothing.
        names: name of each file.

    Returns:
        the 8 fields, ``ORIGIN`` (observed), ``IMPUTED`` (empty) and ``SOURCE`` (file and row).
    """
    once = passes
    if repeated is not None:
        repeated.query("repeated", "CREATE OR REPLACE TEMP VIEW repeated_ids AS SELECT h FROM repeated")
        once = passes.query(
            "passes",
            f"SELECT {_FIELDS}, FILE, ROW FROM passes WHERE hash(GCXH) NOT IN (SELECT h FROM repeated_ids) "
            f"UNION ALL SELECT {_FIELDS}, FILE, ROW FROM passes "
            "WHERE hash(GCXH) IN (SELECT h FROM repeated_ids) "
            "QUALIFY row_number() OVER (PARTITION BY GCXH ORDER BY FILE, ROW) = 1",
        )
    files = "[" + ", ".join("'" + name.replace("'", "''") + "'" for name in names) + "]"
    return once.query(
        "once",
        f"SELECT {_FIELDS}, 'observed' AS ORIGIN, '' AS IMPUTED, "
        f"{files}[CAST(FILE AS BIGINT) + 1] || ':' || ROW AS SOURCE "
        "FROM (SELECT * FROM once ORDER BY GCSJ, GCXH)",
    )
