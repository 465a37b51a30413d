"""The four fields that follow from the eight."""

from __future__ import annotations

from duckdb import DuckDBPyRelation

from kakou.fields import (
    FIELDS_8,
    ORIGIN_COLUMNS,
    PEAK_HOURS,
    PROVINCES,
    UNKNOWN_PROVINCE,
    UNKNOWN_VEHICLE_TYPE,
    VEHICLE_TYPE_NAMES,
)  # fmt: skip


def expand(passes: DuckDBPyRelation) -> DuckDBPyRelation:
    """Adds PROVINCE, IS_WEEKEND, IS_PEAK_HOUR and VEHICLE_TYPE_NAME; order is kept."""
    names = ", ".join(f"'{name}'" for name in PROVINCES.values())
    # The place of the first character in the list of short names is the place of the province in the list of
    # names.
    province = f"coalesce([{names}][instr('{''.join(PROVINCES)}', left(HPHM, 1))], '{UNKNOWN_PROVINCE}')"
    types = " ".join(f"WHEN '{code}' THEN '{name}'" for code, name in VEHICLE_TYPE_NAMES.items())
    hours = ", ".join(str(hour) for hour in sorted(PEAK_HOURS))
    return passes.query(
        "passes",
        f"SELECT {', '.join(FIELDS_8)}, {province} AS PROVINCE, "
        "CAST(isodow(GCSJ) IN (6, 7) AS TINYINT) AS IS_WEEKEND, "
        f"CAST(hour(GCSJ) IN ({hours}) AS TINYINT) AS IS_PEAK_HOUR, "
        f"CASE HPZL {types} ELSE '{UNKNOWN_VEHICLE_TYPE}' END AS VEHICLE_TYPE_NAME, "
        f"{', '.join(ORIGIN_COLUMNS)} FROM passes",
    )
