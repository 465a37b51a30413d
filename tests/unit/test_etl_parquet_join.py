"""Parquet files end to end: every reader sees the rows of all, in order."""

from itertools import pairwise

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.io.parquet_join import join_parquet
from kakou.errors import StorageError

ROWS = "SELECT range AS n, 'gate ' || range % 7 AS gate, TIMESTAMP '2024-01-01' + to_seconds(range) AS t, "
ROWS += (
    "CASE WHEN range % 5 = 0 THEN NULL ELSE 'plate' || range END AS plate, '' AS none FROM range({0}, {1})"
)


@pytest.fixture
def files(tmp_path):
    """Files of one row group, of several, and of none."""
    paths = []
    for number, (first, last) in enumerate(((0, 10), (10, 300_000), (300_000, 300_000), (300_000, 300_001))):
        paths.append(tmp_path / f"{number}.parquet")
        duckdb.sql(f"COPY ({ROWS.format(first, last)}) TO '{paths[-1]}' (FORMAT parquet)")
    return paths


def test_three_readers_see_all_rows_in_order(files, tmp_path):
    joined = tmp_path / "joined.parquet"
    assert join_parquet(files, joined) == 300_001
    meant = duckdb.sql(ROWS.format(0, 300_001)).fetchall()
    assert duckdb.sql(f"FROM '{joined}'").fetchall() == meant
    table = pq.read_table(joined)
    assert table.schema.equals(pq.read_table(files[0]).schema)
    assert [tuple(row.values()) for row in table.to_pylist()[::997]] == meant[::997]
    assert pl.read_parquet(joined).rows() == meant


def test_statistics_still_let_a_reader_skip_row_groups(files, tmp_path):
    joined = tmp_path / "joined.parquet"
    join_parquet(files, joined)
    meta = pq.ParquetFile(joined).metadata
    groups = [meta.row_group(i) for i in range(meta.num_row_groups) if meta.row_group(i).num_rows]
    bounds = [(group.column(0).statistics.min, group.column(0).statistics.max) for group in groups]
    assert bounds[0] == (0, 9) and bounds[-1] == (300_000, 300_000) and len(bounds) > 3
    assert all(low == before + 1 for (_, before), (low, _) in pairwise(bounds))
    assert duckdb.sql(f"SELECT gate FROM '{joined}' WHERE n = 299_999").fetchall() == [("gate 0",)]


def test_files_of_another_writer_are_joined_too(tmp_path):
    table = pa.table({"n": list(range(1000)), "ok": [True, False] * 500, "x": [0.5] * 1000})
    pq.write_table(table, tmp_path / "a.parquet", write_page_index=True, row_group_size=300)
    join_parquet([tmp_path / "a.parquet"] * 2, tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "b.parquet").equals(pa.concat_tables([table, table]))


def test_other_columns_and_broken_files_are_refused(files, tmp_path):
    other, cut = tmp_path / "other.parquet", tmp_path / "cut.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS n) TO '{other}' (FORMAT parquet)")
    with pytest.raises(StorageError, match="other columns"):
        join_parquet([files[0], other], tmp_path / "x.parquet")
    cut.write_bytes(files[0].read_bytes()[:-3])
    with pytest.raises(StorageError, match="no whole Parquet file"):
        join_parquet([cut], tmp_path / "x.parquet")
