"""Edge: reads for the ledger the rows that retention may have taken from the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
import pyarrow.parquet as pq

from kakou.errors import StorageError
from kakou.fields import FIELDS_12, TIME_FORMAT
from kakou.settings import Settings
from spark_jobs.ledger.evidence import OLDER_SCHEMA, TOPIC_SCHEMA, checksums, id_number, nothing

_ROWS: Final = 50_000


def read_archive(
    settings: Settings, first: Mapping[int, int], wanted: pl.Series | bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Archived rows.

    Args:
        first: first offset that the topic holds, by partition.
        wanted: ids of older rows that are to be read too; or whether all of them are.

    Returns:
        rows within the topic (``TOPIC_SCHEMA``) and the wanted ones of the others (``OLDER_SCHEMA``).

    Raises:
        StorageError: a file cannot be read.
    """
    within, older = [nothing(TOPIC_SCHEMA)], [nothing(OLDER_SCHEMA)]
    names = [*FIELDS_12, "KAFKA_PARTITION", "KAFKA_OFFSET"]
    for path in sorted(settings.history_dir.glob("day=*/*.parquet")):
        try:
            for batch in pq.ParquetFile(path).iter_batches(_ROWS, columns=names):
                rows = _archived(pl.DataFrame(pl.from_arrow(batch)))
                start = pl.col("partition").replace_strict(dict(first), default=0, return_dtype=pl.Int64)
                fresh = pl.col("offset") >= start
                within.append(_with_content(rows.filter(fresh)).select(TOPIC_SCHEMA.keys()))
                if wanted is not False:
                    rest = _with_content(rows.filter(~fresh.fill_null(False)))
                    rest = rest if wanted is True else rest.filter(pl.col("id").is_in(wanted.implode()))
                    older.append(rest.select(OLDER_SCHEMA.keys()))
        except (OSError, ValueError) as error:
            raise StorageError(
                f"The archive file {path} cannot be read: {error}. Restore it from a backup."
            ) from error
    return pl.concat(within), pl.concat(older)


def _archived(rows: pl.DataFrame) -> pl.DataFrame:
    wire = [
        pl.col(name).dt.strftime(TIME_FORMAT) if name == "GCSJ" else pl.col(name).cast(pl.String)
        for name in FIELDS_12
    ]
    return rows.select(
        pl.col("KAFKA_PARTITION").cast(pl.Int32).alias("partition"),
        pl.col("KAFKA_OFFSET").cast(pl.Int64).alias("offset"),
        pl.col("GCXH").alias("gcxh"),
        pl.concat_str(wire, separator="\t").alias("wire"),
    )


def _with_content(rows: pl.DataFrame) -> pl.DataFrame:
    ids = [id_number(one.encode()) for one in rows["gcxh"]]
    sums = checksums(one.encode() for one in rows["wire"])
    return rows.with_columns(pl.Series("id", ids, dtype=pl.Int64), pl.Series("checksum", sums))
