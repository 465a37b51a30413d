"""Long gate names → codenames, plate type codes → two digits."""

from __future__ import annotations

from collections.abc import Mapping

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
        gates: gate of each spelling that occurs; see ``etl.registry.resolve``.
    """
    # A CASE and not a join: the engine promises the order of rows for the one and not for the other.
    codename = _case("KKMC", {spelling: gate.kkmc for spelling, gate in gates.items()})
    district = _case("KKMC", {spelling: gate.xzqhmc for spelling, gate in gates.items()})
    bare = "ltrim(HPZL, '''')"
    plate_type = (
        f"CASE WHEN length(HPZL) = 2 AND HPZL[1] <> '''' THEN HPZL WHEN {bare} = '' THEN '{MISSING}' "
        f"WHEN regexp_full_match({bare}, '[0-9]') THEN '0' || {bare} ELSE {bare} END"
    )
    return passes.query(
        "passes",
        f"SELECT GCXH, CASE WHEN XZQHMC = '' THEN {district} ELSE XZQHMC END AS XZQHMC, "
        f"{codename} AS KKMC, FXLX, GCSJ, {plate_type} AS HPZL, HPHM, CLPPXH, "
        f"{', '.join(ORIGIN_COLUMNS)} FROM passes",
    )


def _case(column: str, words: Mapping[str, str]) -> str:
    whens = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in words.items())
    return f"CASE {column} {whens} ELSE '' END"
