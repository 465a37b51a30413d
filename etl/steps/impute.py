"""Fills missing plate types and brands where other passes make them nearly certain, and measures itself.

A *context* of a row is something it shares with other rows: its plate, its plate and gate, its plate shape
and brand. For each context the most frequent known value is a guess. How sure a guess is, is not computed
from theory but measured: on known values that were held back, grouped by context, by how many rows speak and
by how many agree. A row takes its surest guess, or none if that is below the wanted confidence. A second set
of held-back values, which neither made nor graded the guesses, gives accuracy, coverage and the majority
guess to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from duckdb import DuckDBPyConnection

from etl.steps.plate_kind import plate_kind
from kakou.fields import MISSING

HELD_BACK_ROWS: Final = 50_000
LEAST_ONE_IN: Final = 10

_THIRD: Final = "HPHM[3:3]"
# What the form of a plate says about its vehicle: new energy, trailer and the like, ordinary, cut short.
_SHAPE: Final = (
    "CASE WHEN contains(HPHM, '*') THEN CASE WHEN "
    + _THIRD
    + " IN ('D', 'F') THEN 'mask-green' ELSE 'mask' END "
    "WHEN length(HPHM) = 8 THEN CASE WHEN HPHM[8:8] IN ('D', 'F') THEN 'green-large' ELSE 'green-small' END "
    "WHEN length(HPHM) = 7 THEN CASE WHEN HPHM[7:7] IN ('挂', '学', '警', '港', '澳', '领') THEN HPHM[7:7] "
    "ELSE 'ordinary' END ELSE 'odd' END"
)
_NAMED: Final = "CASE WHEN kind IN ('whole', 'masked') THEN {0} END"
# Each context as (name, expression over the row); NULL where a row has no such context.
CONTEXTS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "HPZL": (
        ("plate", "HPHM"),
        ("plate_gate", "HPHM || '@' || KKMC"),
        ("shape_brand", f"{_SHAPE} || CLPPXH"),
        ("shape", _SHAPE),
    ),
    "CLPPXH": (
        ("plate", "HPHM"),
        ("plate_type", "HPHM || HPZL"),
        ("plate_type_gate", "HPHM || HPZL || KKMC"),
        ("type_gate", "HPZL || KKMC"),
    ),
}
_NEEDS_PLATE: Final = frozenset({"plate", "plate_gate", "plate_type", "plate_type_gate"})


@dataclass(frozen=True, slots=True)
class Imputation:
    """How well a field was filled; None where nothing was held back to measure on.

    Attributes:
        share: filled rows of all rows. coverage: share of held-back rows that got a guess.
        accuracy: share of those that were right. baseline: share that the most frequent value would have got
            right.
    """

    share: float
    accuracy: float | None
    coverage: float | None
    baseline: float | None


def impute(con: DuckDBPyConnection, passes: str, field: str, confidence: float) -> Imputation:
    """Makes the table ``filled_<field>(RN, value)`` of the values to fill in.

    Args:
        con: where the work tables live; they are dropped again.
        passes: name of a view with the 8 fields and ``RN``, the number of the row.
        field: HPZL or CLPPXH. confidence: least measured confidence of a guess, 0–1.
    """
    contexts = CONTEXTS[field]
    known, total = con.execute(
        f"SELECT count(*) FILTER (WHERE {field} <> '{MISSING}'), count(*) FROM {passes}"
    ).fetchall()[0]
    one_in = max(LEAST_ONE_IN, -(-known // HELD_BACK_ROWS))
    part = f"hash(GCXH) % {one_in}"
    keys = ", ".join(
        f"hash({_NAMED.format(text) if name in _NEEDS_PLATE else text}) AS k{i}"
        for i, (name, text) in enumerate(contexts)
    )
    # Role 0: to fill. 1: held back to grade the guesses. 2: held back to measure the whole.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE target AS SELECT RN, kind, role, truth, {keys} FROM ("
        f"SELECT *, {field} AS truth, {plate_kind('HPHM')} AS kind, "
        f"CASE WHEN {field} = '{MISSING}' THEN 0 WHEN {part} = 0 THEN 1 ELSE 2 END AS role "
        f"FROM {passes} WHERE {field} = '{MISSING}' OR {part} < 2)"
    )
    guesses = [_guess(con, passes, field, i, text, part) for i, (_, text) in enumerate(contexts)]
    con.execute(f"CREATE OR REPLACE TEMP TABLE guess AS {' UNION ALL '.join(guesses)}")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE grade AS SELECT bucket, (count(*) FILTER (WHERE value = truth) + 1) / "
        "(count(*) + 2) AS sure FROM guess WHERE role = 1 GROUP BY bucket"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE best AS SELECT RN, any_value(role) AS role, any_value(truth) AS truth, "
        "max({'sure': coalesce(sure, 0), 'level': -level, 'value': value}) AS pick "
        "FROM guess LEFT JOIN grade USING (bucket) WHERE role <> 1 GROUP BY RN"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE filled_{field} AS SELECT RN, pick.value AS value FROM best "
        f"WHERE role = 0 AND pick.sure >= {confidence}"
    )
    answer = _measure(con, passes, field, part, confidence, total)
    con.execute("DROP TABLE target; DROP TABLE guess; DROP TABLE grade; DROP TABLE best")
    return answer


def _guess(con: DuckDBPyConnection, passes: str, field: str, level: int, text: str, part: str) -> str:
    """Counts the known values of one context; returns the query of the guesses that the targets get from
    it."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE top{level} AS "
        "SELECT k, max({'c': c, 'v': v}) AS top, sum(c) AS n FROM ("
        f"SELECT hash({text}) AS k, {field} AS v, count(*) AS c FROM {passes} "
        f"WHERE {field} <> '{MISSING}' AND {part} >= 2 AND hash({text}) IN (SELECT k{level} FROM target) "
        "GROUP BY k, v"
        ") GROUP BY k"
    )
    agree = "CASE WHEN top.c = n THEN 9 ELSE CAST(floor(20 * top.c / n) AS INTEGER) - 11 END"
    support = "least(5, CAST(floor(log2(n)) AS INTEGER))"
    return (
        f"SELECT RN, role, truth, {level} AS level, top.v AS value, "
        f"{level} || kind || '/' || {support} || '/' || {agree} AS bucket "
        f"FROM target JOIN top{level} ON k{level} = k"
    )


def _measure(
    con: DuckDBPyConnection, passes: str, field: str, part: str, confidence: float, total: int
) -> Imputation:
    filled = con.execute(f"SELECT count(*) FROM filled_{field}").fetchall()[0][0]
    tested = con.execute("SELECT count(*) FROM target WHERE role = 2").fetchall()[0][0]
    share = round(filled / total, 6) if total else 0.0
    if not tested:
        return Imputation(share, None, None, None)
    covered, right = con.execute(
        "SELECT count(*), count(*) FILTER (WHERE pick.value = truth) FROM best "
        "WHERE role = 2 AND pick.sure >= ?",
        [confidence],
    ).fetchall()[0]
    majority = con.execute(
        f"SELECT {field} FROM {passes} WHERE {field} <> '{MISSING}' AND {part} >= 2 "
        f"GROUP BY {field} ORDER BY count(*) DESC, {field} LIMIT 1"
    ).fetchall()
    lucky = con.execute(
        "SELECT count(*) FROM target WHERE role = 2 AND truth = ?", [majority[0][0] if majority else ""]
    ).fetchall()[0][0]
    return Imputation(
        share,
        round(right / covered, 6) if covered else None,
        round(covered / tested, 6),
        round(lucky / tested, 6),
    )
