"""A micro-batch as frames that fit into memory, however large it is and whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kakou.connections import spark_kafka_options
from kakou.fields import COLUMNS_12
from kakou.settings import Settings
from spark_jobs.offset_log import Span
from spark_jobs.parse import with_fields

# A good row is some hundred bytes, and no more than this is carried of a refused one.
CARRIED: Final = 4_096


def parsed(records: DataFrame) -> DataFrame:
    """Kafka records as place, reason, fields and ``size`` (bytes; null for a record without a value).

    ``value`` holds the bytes of a refused record up to ``CARRIED``; longer ones are fetched from the topic
    again when they are needed, one by one.
    """
    size = F.octet_length("value").cast("int").alias("size")
    carried = F.col("reason").isNotNull() & (F.octet_length("value") <= CARRIED)
    return with_fields(records.select("partition", "offset", "value")).select(
        "partition", "offset", "reason", F.when(carried, F.col("value")).alias("value"), size, *COLUMNS_12
    )


class Slices:
    """The rows of one batch, in the order of its slices; may be iterated again.

    A batch of ordinary size is one slice and is taken from Spark once. A larger one is read from Kafka in
    pieces that follow each other in the order (partition, offset).

    Args:
        settings: ``slice_records`` is the most rows of a slice.
        rows: what ``parsed`` made of the batch.
        span: the offsets of the batch.
    """

    def __init__(self, settings: Settings, rows: DataFrame, span: Span) -> None:
        self._settings = settings
        self._rows = rows
        self._span = span
        self._most = settings.slice_records
        self._whole: pl.DataFrame | None = None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        if self._span.size > self._most:
            yield from (frame_of(self._read(cut)) for cut in self._span.cuts(self._most))
            return
        if self._whole is None:
            self._whole = frame_of(self._rows)
        yield self._whole

    def _read(self, cut: Span) -> DataFrame:
        """The records of a cut, straight from Kafka; records that are gone fail the batch."""
        spark = self._rows.sparkSession
        reader = spark.read.format("kafka").options(**spark_kafka_options(self._settings))
        return parsed(
            reader.option("assign", json.dumps({self._settings.topic: sorted(cut.end)}))
            .option("startingOffsets", self._offsets(cut.start.items()))
            .option("endingOffsets", self._offsets(cut.end.items()))
            .option("failOnDataLoss", "true")
            .load()
        )

    def _offsets(self, places: Iterable[tuple[int, int]]) -> str:
        return json.dumps({self._settings.topic: {str(partition): at for partition, at in places}})


def frame_of(rows: DataFrame) -> pl.DataFrame:
    """Spark's rows as a frame in this process."""
    return pl.DataFrame(pl.from_arrow(rows.toArrow()))
