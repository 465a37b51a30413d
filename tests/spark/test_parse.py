"""Native parsing gives what ``parse_passage`` gives, reason by reason."""

from __future__ import annotations

from datetime import datetime

import pytest
from poison import GOOD, POISON, line
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from kakou.errors import Reject
from kakou.fields import COLUMNS_12
from kakou.passage import parse_passage
from spark_jobs.parse import local_seconds_of, seconds_of, with_fields

pytestmark = pytest.mark.spark


def test_same_reasons_and_same_values_as_the_reference(spark: SparkSession) -> None:
    corpus = [raw for _, raw, _ in POISON] + list(GOOD)
    frame = spark.createDataFrame(list(enumerate(corpus)), "n int, value binary")
    rows = {row.n: row for row in with_fields(frame).collect()}
    for n, raw in enumerate(corpus):
        want = parse_passage(raw)
        assert rows[n].reason == (want.reason if isinstance(want, Reject) else None), raw[:80]
        assert bytes(rows[n].value) == raw
        if not isinstance(want, Reject):
            fields = [rows[n][name] for name in COLUMNS_12]
            assert "\t".join(fields).encode() == raw


def test_a_record_without_a_value_is_rejected(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(None,)], "value binary")
    assert with_fields(frame).first().reason == "column_count"


@pytest.mark.parametrize(
    "text", ["2024-01-15 08:00:10", "1988-04-17 02:30:00", "1000-01-01 00:00:00", "2999-12-31 23:59:59"]
)
def test_seconds_are_those_of_the_wall_clock(spark: SparkSession, text: str) -> None:
    want = int((datetime.fromisoformat(text) - datetime(1970, 1, 1)).total_seconds())
    frame = with_fields(spark.createDataFrame([(line(f4=text),)], "value binary"))
    assert frame.select(seconds_of(F.col("gcsj"))).first()[0] == want


def test_arrival_is_taken_in_the_sessions_zone(spark: SparkSession) -> None:
    moment = F.timestamp_seconds(F.lit(1705276810))  # 2024-01-15 00:00:10 UTC
    assert spark.range(1).select(local_seconds_of(moment)).first()[0] == 1705276810 + 8 * 3600
