"""Rows of the stores and how they are written, shared by both routes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import polars as pl

from kakou.fields import COLUMNS_12

CHUNK: Final = 500
# Columns of traffic_data in the order in which we write them, and what they are called in a batch.
ROW_COLUMNS: Final[dict[str, str]] = {
    **{("id" if name == "gcxh" else name): name for name in COLUMNS_12},
    "kafka_partition": "partition",
    "kafka_offset": "offset",
    "batch_id": "batch_id",
}
FLOW_KEY: Final = ("kkmc", "day", "hour", "province", "vehicle_type_name")
STORED_SCHEMA: Final[dict[str, Any]] = {
    **dict.fromkeys(COLUMNS_12, pl.String),
    "kafka_partition": pl.Int64,
    "kafka_offset": pl.Int64,
}
# Doubled percent signs, because the driver fills in the ids by them.
_AS_TEXT: Final = {
    "gcxh": "id",
    "gcsj": "DATE_FORMAT(gcsj, '%%Y-%%m-%%d %%H:%%i:%%s')",
    "is_weekend": "CAST(is_weekend AS CHAR)",
    "is_peak_hour": "CAST(is_peak_hour AS CHAR)",
}
_SHOWN: Final = ", ".join(_AS_TEXT.get(name, name) for name in COLUMNS_12)


def stored_under(cursor: Any, ids: list[str]) -> pl.DataFrame:
    """Rows of ``traffic_data`` that a server holds under ``ids``, columns ``STORED_SCHEMA``."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), CHUNK):
        cursor.execute(
            f"SELECT {_SHOWN}, kafka_partition, kafka_offset FROM traffic_data WHERE id IN %s",  # noqa: S608
            (ids[start : start + CHUNK],),
        )
        found += cursor.fetchall()
    return pl.DataFrame(found, schema=STORED_SCHEMA, orient="row")


def flow_of(fresh: pl.DataFrame) -> pl.DataFrame:
    """Passes per gate, hour, province and vehicle type: columns ``FLOW_KEY`` and ``n``."""
    return (
        fresh.group_by(
            "kkmc",
            pl.col("gcsj").str.slice(0, 10).alias("day"),
            pl.col("gcsj").str.slice(11, 2).cast(pl.Int64).alias("hour"),
            "province",
            "vehicle_type_name",
        )
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .sort(FLOW_KEY)
    )


@contextmanager
def as_csv(rows: pl.DataFrame, folder: Path) -> Iterator[str]:
    """The rows as a file for ``LOAD``: every value quoted, a quote doubled, no escape character at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="rows-", suffix=".csv") as file:
        rows.select(ROW_COLUMNS.values()).write_csv(file.name, include_header=False, quote_style="always")
        yield file.name


LOAD: Final = (
    "LOAD DATA LOCAL INFILE %s INTO TABLE traffic_data CHARACTER SET utf8mb4 "
    "FIELDS TERMINATED BY ',' ENCLOSED BY '\"' ESCAPED BY '' LINES TERMINATED BY '\\n' "
    f"({', '.join(ROW_COLUMNS)})"
)
