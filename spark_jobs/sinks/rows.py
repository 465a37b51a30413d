"""Rows of the stores and how they are written, shared by both routes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from kakou.fields import COLUMNS_12

CHUNK: Final = 500
# Ids that agree but for so many last characters are neighbours in the primary key, as a gate counts its
# passes upwards. From this many on, one look at their range costs less than a question after each.
TAIL: Final = 6
NEIGHBOURS: Final = 16
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


@dataclass(frozen=True)
class Wanted:
    """Ids to be looked for: ranges of neighbours (``least``, ``most``, ``ids``), and the rest one by one."""

    ranges: pl.DataFrame
    rest: list[str]


def wanted(ids: list[str]) -> Wanted:
    """Prepares the question ``stored_under``, once for all servers that are asked."""
    # Only of these do the column and this process think alike which comes first: the column takes a space at
    # the end for nothing.
    orderly = pl.col("id").str.contains("^[0-9A-Za-z]+$")
    groups = (
        pl.DataFrame({"id": ids}, schema={"id": pl.String})
        .group_by(
            pl.when(orderly).then(pl.col("id").str.head(-TAIL)).otherwise(pl.lit("")).alias("beginning")
        )
        .agg(pl.col("id").min().alias("least"), pl.col("id").max().alias("most"), pl.col("id").alias("ids"))
    )
    near = (pl.col("beginning") != "") & (pl.col("ids").list.len() >= NEIGHBOURS)
    return Wanted(groups.filter(near).drop("beginning"), groups.filter(~near)["ids"].explode().to_list())


def stored_under(cursor: Any, asked: Wanted) -> pl.DataFrame:
    """Rows of ``traffic_data`` that a server holds under the ids, columns ``STORED_SCHEMA``."""
    ids = asked.rest + _in_ranges(cursor, asked.ranges)
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), CHUNK):
        cursor.execute(
            f"SELECT {_SHOWN}, kafka_partition, kafka_offset FROM traffic_data WHERE id IN %s",  # noqa: S608
            (ids[start : start + CHUNK],),
        )
        found += cursor.fetchall()
    return pl.DataFrame(found, schema=STORED_SCHEMA, orient="row")


def _in_ranges(cursor: Any, ranges: pl.DataFrame) -> list[str]:
    """Those ids that their ranges did not show to be free."""
    left: list[str] = []
    for least, most, ids in zip(*ranges.select("least", "most", "ids"), strict=True):
        limit = 2 * len(ids)  # with more others among them, the question after each is the cheaper one
        cursor.execute(
            f"SELECT id FROM traffic_data WHERE id BETWEEN %s AND %s LIMIT {limit}",  # noqa: S608
            (least, most),
        )
        held = [row[0] for row in cursor.fetchall()]
        left += ids.to_list() if len(held) == limit else ids.filter(ids.is_in(held)).to_list()
    return left


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
