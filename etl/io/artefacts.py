"""The artefacts of the batch: each step's passes as Parquet and as CSV, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from etl.io.engine import PARQUET
from etl.io.parquet_join import join_parquet
from etl.steps.sql_text import literal
from kakou.errors import BadInputError
from kakou.fields import ORIGIN_COLUMNS
from kakou.whole_files import draft_of

MERGED, STANDARDISED, CLEANED, EXPANDED = (
    "merged_data", "merged_data_standardized", "master_data_cleaned", "master_data_expanded",
)  # fmt: skip


def parquet_of(out: Path, name: str) -> Path:
    """Where the Parquet artefact ``name`` lies."""
    return out / f"{name}.parquet"


def open_artefact(con: duckdb.DuckDBPyConnection, out: Path, name: str) -> duckdb.DuckDBPyRelation:
    """The rows of an artefact and ``RN``, the number of each.

    Raises:
        BadInputError: the step that makes it has not run.
    """
    path = parquet_of(out, name)
    if not path.exists():
        raise BadInputError(f"{path} is not there yet; run the earlier steps, or `kakou etl run`.")
    return con.sql(
        f"SELECT * EXCLUDE (file_row_number), file_row_number AS RN "
        f"FROM read_parquet({literal(str(path))}, file_row_number = true)"
    )


def write_artefact(
    con: duckdb.DuckDBPyConnection, passes: duckdb.DuckDBPyRelation, out: Path, name: str
) -> int:
    """Writes ``name.parquet`` with all columns and ``name.csv`` with the contract's; returns the number of
    rows."""
    with draft_of(parquet_of(out, name)) as parquet, draft_of(out / f"{name}.csv") as text:
        source = f"read_parquet({literal(str(parquet))})"
        passes.query("passes", f"COPY passes TO {literal(str(parquet))} {PARQUET}")
        rows, unsorted = con.execute(
            "SELECT count(*), count(*) FILTER (WHERE GCSJ < t OR (GCSJ = t AND GCXH < id)) "
            f"FROM (SELECT GCSJ, GCXH, lag(GCSJ) OVER () AS t, lag(GCXH) OVER () AS id FROM {source})"
        ).fetchall()[0]
        if unsorted:
            # A join that spilled to disk may have mixed the rows; the contract says sorted.
            second = parquet.with_suffix(".sorted")
            con.execute(
                f"COPY (SELECT * FROM {source} ORDER BY GCSJ, GCXH) TO {literal(str(second))} {PARQUET}"
            )
            second.replace(parquet)
        _write_text(con, source, text)
    return int(rows)


def join_artefact(con: duckdb.DuckDBPyConnection, days: Sequence[Path], out: Path, name: str) -> int:
    """As ``write_artefact``, from finished Parquet files, each of one day and sorted, in order of time."""
    with draft_of(parquet_of(out, name)) as parquet, draft_of(out / f"{name}.csv") as text:
        rows = join_parquet(days, parquet)
        _write_text(con, f"read_parquet({literal(str(parquet))})", text)
    return rows


def write_csv(rows: duckdb.DuckDBPyRelation, path: Path) -> None:
    """Writes ``rows`` in their order as CSV with a header."""
    with draft_of(path) as draft:
        rows.query("rows", f"COPY (FROM rows) TO {literal(str(draft))} (FORMAT csv, HEADER)")


def _write_text(con: duckdb.DuckDBPyConnection, source: str, text: Path) -> None:
    con.execute(
        f"COPY (SELECT * EXCLUDE ({', '.join(ORIGIN_COLUMNS)}) FROM {source}) TO {literal(str(text))} "
        "(FORMAT csv, HEADER)"
    )
