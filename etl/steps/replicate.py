"""Made-up days, only on request: passes of some days copied onto days of the same month that have none."""

from __future__ import annotations

from collections.abc import Sequence

from duckdb import DuckDBPyRelation


def replicate(passes: DuckDBPyRelation, days: Sequence[tuple[int, int]]) -> DuckDBPyRelation:
    """Adds the copied days.

    Args:
        passes: cleaned passes.
        days: (source day, target day) of a month. A target day that holds any pass is left as it is, and only
            observed passes are copied: what is a copy already would be copied twice.

    Returns:
        all passes and the copies (GCXH ``<id>-R<day>``, time of day kept, ORIGIN ``replicated``), sorted by
        GCSJ, GCXH.
    """
    pairs = ", ".join(f"({source}, {target})" for source, target in days)
    return passes.query(
        "passes",
        f"""WITH days AS (SELECT DISTINCT CAST(GCSJ AS DATE) AS d FROM passes),
        plan AS (
            SELECT d AS source, target,
                try_cast(strftime(d, '%Y-%m-') || lpad(target::VARCHAR, 2, '0') AS DATE) AS new
            FROM days JOIN (VALUES {pairs}) pairs(source, target) ON day(d) = pairs.source
        ),
        wanted AS (SELECT * FROM plan WHERE new IS NOT NULL AND new NOT IN (SELECT d FROM days))
        SELECT * FROM (
            SELECT * FROM passes
            UNION ALL
            SELECT passes.* REPLACE (
                GCXH || '-R' || wanted.target AS GCXH,
                GCSJ + to_days(CAST(wanted.new - wanted.source AS INTEGER)) AS GCSJ,
                'replicated' AS ORIGIN
            )
            FROM passes JOIN wanted ON CAST(passes.GCSJ AS DATE) = wanted.source
            WHERE passes.ORIGIN = 'observed'
        ) ORDER BY GCSJ, GCXH""",
    )
