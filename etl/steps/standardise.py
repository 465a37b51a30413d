"""Long gate names → codenames, plate type codes → two digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from duckdb import DuckDBPyRelation

from etl.registry import Gate
from etl.steps.sql_text import literal
from kakou.fields import MISSING, ORIGIN_COLUMNS


def spellings(passes: DuckDBPyRelation) -> DuckDBPyRelation:
    """Each (KKMC, XZQHMC) that the passes hold, with its count ``n``, most frequent district first."""
    return passes.query(
        "passes", "SELECT KKMC, XZQHMC, count(*) AS n FROM passes GROUP BY ALL ORDER BY KKMC, n DESC, XZQHMC"
    )


def standardise(passes: DuckDBPyRelation, gates: Mapping[str, Gate]) -> DuckDBPyRelation:
    """Replaces each spelling of a gate by its codename and writes HPZL as two digits.

    Args:
        passes: rows of the merge; order is kept.
        gates: gate of each spelling that occurs, all of them; see ``etl.registry.resolve``.
    """
    # A lookup and not a join: the engine promises the order of rows for the one and not for the other. And
    # not a CASE: a function of one column is asked once for each word of a dictionary, a CASE for each row.
    codename = _lookup("KKMC", {spelling: gate.kkmc for spelling, gate in gates.items()})
    district = _lookup("KKMC", {spelling: gate.xzqhmc for spelling, gate in gates.items()})
    return passes.query(
        "passes",
        f"SELECT GCXH, CASE WHEN XZQHMC = '' THEN {district} ELSE XZQHMC END AS XZQHMC, "
        f"{codename} AS KKMC, FXLX, GCSJ, {plate_type('HPZL')} AS HPZL, HPHM, CLPPXH, "
        f"{', '.join(ORIGIN_COLUMNS)} FROM passes",
    )


def plate_type(column: str) -> str:
    """SQL: the code of two digits that ``column`` writes, perhaps with a leading quote or as one digit."""
    bare = f"ltrim({column}, '''')"
    return (
        f"CASE WHEN length({column}) = 2 AND {column}[1] <> '''' THEN {column} "
        f"WHEN {bare} = '' THEN '{MISSING}' "
        f"WHEN regexp_full_match({bare}, '[0-9]') THEN '0' || {bare} ELSE {bare} END"
    )


def evidence(passes: DuckDBPyRelation, names: Sequence[str]) -> DuckDBPyRelation:
    """What the passes say about some spellings.

    Returns:
        KKMC, PASSES, DAYS (those with a pass), DISTRICTS (named ones); both are sorted lists.
    """
    wanted = ", ".join(literal(name) for name in names) or "NULL"
    return passes.query(
        "passes",
        "SELECT KKMC, sum(n)::BIGINT AS PASSES, list_sort(list(DISTINCT day)) AS DAYS, "
        "list_sort(coalesce(list(DISTINCT XZQHMC) FILTER (WHERE XZQHMC <> ''), [])) AS DISTRICTS "
        "FROM (SELECT KKMC, XZQHMC, CAST(GCSJ AS DATE) AS day, count(*) AS n FROM passes "
        f"WHERE KKMC IN ({wanted}) GROUP BY ALL) GROUP BY KKMC",
    )


def _lookup(column: str, words: Mapping[str, str]) -> str:
    keys, values = (", ".join(map(literal, side)) for side in (words.keys(), words.values()))
    return f"map([{keys}]::VARCHAR[], [{values}]::VARCHAR[])[{column}]"
