"""Repair: missing plate types and brands are filled where that is nearly certain; a bad plate stays as it
was read.

``6***`` or ``苏C12***`` cannot be completed: many vehicles fit. Such plates are counted by kind and never
invented.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

from etl.params import EtlParams, parse_replicate
from etl.steps.impute import CONTEXTS, Imputation, impute
from etl.steps.replicate import replicate
from kakou.fields import FIELDS_8

IMPUTED_FIELDS = tuple(CONTEXTS)


def clean(
    con: DuckDBPyConnection, passes: str, params: EtlParams
) -> tuple[DuckDBPyRelation, dict[str, Imputation]]:
    """Fills fields and, only if ``params.replicate`` asks for it, adds copied days.

    Args:
        con: where the model keeps its work tables.
        passes: name of a view of standardised passes with ``RN``, the number of each row.

    Returns:
        the passes (8 fields, ORIGIN, IMPUTED, SOURCE), in their order if no day was added, and how well each
        field was filled.
    """
    measured = {field: impute(con, passes, field, params.imputation_confidence) for field in IMPUTED_FIELDS}
    columns = [
        f"coalesce(filled_{name}.value, passes.{name}) AS {name}"
        if name in IMPUTED_FIELDS
        else f"passes.{name}"
        for name in FIELDS_8
    ]
    named = ", ".join(
        f"CASE WHEN filled_{name}.value IS NOT NULL THEN '{name}' END" for name in IMPUTED_FIELDS
    )
    joins = " ".join(f"LEFT JOIN filled_{name} ON filled_{name}.RN = passes.RN" for name in IMPUTED_FIELDS)
    cleaned = con.sql(
        f"SELECT {', '.join(columns)}, ORIGIN, concat_ws(',', {named}) AS IMPUTED, SOURCE "
        f"FROM {passes} AS passes {joins}"
    )
    if params.replicate:
        cleaned = replicate(cleaned, parse_replicate(params.replicate))
    return cleaned, measured
