"""Repair: missing plate types and brands are filled where that is nearly certain; a bad plate stays as it
was read.

``6***`` or ``苏C12***`` cannot be completed: many vehicles fit. Such plates are counted by kind and never
invented.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from etl.params import EtlParams, parse_replicate
from etl.steps.impute import CONTEXTS, Filled, Imputation, impute_all
from etl.steps.impute_evidence import Array, Columns
from etl.steps.replicate import replicate
from kakou.fields import FIELDS_8

IMPUTED_FIELDS: Final = tuple(CONTEXTS)
# Filled plate types as a whole are right at least this often, whatever the least confidence of a single one,
# as the kind of a vehicle is counted and decided with. A brand is evidence: its own confidence alone decides.
LEAST_RIGHT: Final = {"HPZL": 0.97}
_TABLE: Final = "filled_values"


def clean(
    con: DuckDBPyConnection, passes: str, params: EtlParams
) -> tuple[DuckDBPyRelation, dict[str, Imputation]]:
    """Fills fields and, only if ``params.replicate`` asks for it, adds copied days.

    Args:
        con: the filled values stay registered in it, as the relation reads them later.
        passes: name of a view of standardised passes with ``RN``, the number of each row: 0, 1, 2 …

    Returns:
        the passes (8 fields, ORIGIN, IMPUTED, SOURCE), in their order if no day was added, and how well each
        field was filled.
    """
    columns, filled = impute_all(con, passes, params.imputation_confidence, LEAST_RIGHT)
    measured = {field: one.measured for field, one in filled.items()}
    con.register(_TABLE, _table(con, columns, filled))
    selected = [
        f"coalesce(filled.{name}, passes.{name}) AS {name}" if name in IMPUTED_FIELDS else f"passes.{name}"
        for name in FIELDS_8
    ]
    named = ", ".join(f"CASE WHEN filled.{name} IS NOT NULL THEN '{name}' END" for name in IMPUTED_FIELDS)
    # By position and not by a key: so the engine keeps the order of rows, which it does not for joins.
    # Should it ever pair a row with another's values, the run ends.
    paired = (
        f"CASE WHEN filled.RN <> passes.RN THEN error('rows out of step') ELSE concat_ws(',', {named}) END"
    )
    cleaned = con.sql(
        f"SELECT {', '.join(selected)}, ORIGIN, {paired} AS IMPUTED, SOURCE "
        f"FROM {passes} AS passes POSITIONAL JOIN {_TABLE} AS filled"
    )
    if params.replicate:
        cleaned = replicate(cleaned, parse_replicate(params.replicate))
    return cleaned, measured


def _table(con: DuckDBPyConnection, columns: Columns, filled: dict[str, Filled]) -> pa.Table:
    """One row per pass: per field its new value, or NULL."""
    arrays = {"RN": _whole_numbers(np.arange(columns.rows, dtype=np.int32))}
    for field, one in filled.items():
        words = con.sql("SELECT unnest(?::VARCHAR[]) AS word", params=[[None, *columns.words[field]]])
        dictionary = words.to_arrow_table().column(0).combine_chunks()
        arrays[field] = pa.DictionaryArray.from_arrays(_whole_numbers(one.code + 1), dictionary)
    return pa.table(arrays)


def _whole_numbers(column: Array) -> pa.Array:
    """Not by ``pa.array``, which imports pandas and so takes a second."""
    return pa.Array.from_buffers(pa.int32(), len(column), [None, pa.py_buffer(column)])
