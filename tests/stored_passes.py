"""Days as the archive and the batch store them."""

from __future__ import annotations

from datetime import date

import polars as pl

from kakou.detection.rehearsal.stored_days import BATCH_FILE
from kakou.settings import Settings
from sql.archive_files import SCHEMA, day_folder


def archive(settings: Settings, day: date, passes: pl.DataFrame, places: list[tuple[int, int]]) -> None:
    """Writes a day as the nightly job does: sorted by time, each pass with its place in Kafka.

    Args:
        passes: the 8 fields, times as such.
        places: partition and offset of each.
    """
    partition, offset = zip(*places, strict=True)
    rest = {
        "PROVINCE": "江苏省",
        "IS_WEEKEND": 0,
        "IS_PEAK_HOUR": 0,
        "VEHICLE_TYPE_NAME": "小型汽车",
        "BATCH_ID": 1,
    }
    table = (
        passes.with_columns(pl.lit(value).alias(name) for name, value in rest.items())
        .with_columns(pl.Series("KAFKA_PARTITION", partition), pl.Series("KAFKA_OFFSET", offset))
        .sort("GCSJ", "GCXH")
        .to_arrow()
    )
    folder = day_folder(settings, day)
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(table.select(SCHEMA.names).cast(SCHEMA)).write_parquet(folder / "dn1-0000.parquet")


def batch(settings: Settings, passes: pl.DataFrame, origin: str = "observed") -> None:
    """Writes passes of one origin as the output of a batch."""
    settings.clean_dir.mkdir(parents=True, exist_ok=True)
    passes.with_columns(pl.lit(origin).alias("ORIGIN")).write_parquet(settings.clean_dir / BATCH_FILE)
