"""A Kafka value as columns: the 12 fields, or why not. Pure functions over native columns.

Gives what ``kakou.passage.parse_passage`` gives, reason by reason, without a Python call per record; a
contract test runs both over one corpus.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kakou.fields import COLUMNS_12, FIELDS
from kakou.passage import KEY_POSITIONS, SEPARATOR, TIME_PATTERN

SOURCE_COLUMNS: Final = ("partition", "offset", "timestamp", "value")


def with_fields(records: DataFrame) -> DataFrame:
    """Adds ``reason`` (null for a good record) and the 12 fields as text, in lower case.

    Args:
        records: the columns ``value`` (binary) and whatever else is to be kept.

    Returns:
        the same rows; the fields of a rejected one mean nothing.
    """
    text = F.coalesce(F.col("value"), F.lit(b"")).cast("string")
    split = records.select("*", text.alias("_text"), F.split(text, SEPARATOR).alias("_values"))
    # try_element_at: a missing field must be null and no error.
    fields = [F.try_element_at("_values", F.lit(at + 1)).alias(name) for at, name in enumerate(COLUMNS_12)]
    return split.select("*", *fields).withColumn("reason", reason()).drop("_text", "_values")


def reason() -> Column:
    """First rule that a record breaks, in the order of ``kakou.passage.REJECT_REASONS``; null if none."""
    keys = [F.col(COLUMNS_12[at]) for at in KEY_POSITIONS]
    flags = [F.col("is_weekend"), F.col("is_peak_hour")]
    time = F.col("gcsj")
    return (
        F.when(~F.is_valid_utf8(F.col("_text")), "encoding")
        .when(F.contains(F.col("_text"), F.lit("\x00")), "nul")
        .when(F.size("_values") != len(COLUMNS_12), "column_count")
        .when(_any([key == "" for key in keys]), "empty_value")
        .when(_any([key.startswith(" ") | key.endswith(" ") for key in keys]), "padded_value")
        .when(
            _any(
                [
                    F.char_length(F.col(name)) > field.max_chars
                    for name, field in zip(COLUMNS_12, FIELDS, strict=True)
                ]
            ),
            "too_long",
        )
        .when(~time.rlike(TIME_PATTERN.replace("$", r"\z")) | _date(time).isNull(), "bad_time")
        .when(_any([~flag.isin("0", "1") for flag in flags]), "bad_flag")
    )


def seconds_of(time: Column) -> Column:
    """Seconds of local time of a text that has passed ``TIME_PATTERN``.

    Reckoned from its digits, so no zone and no gap of summer time touches it.
    """
    hour, minute, second = (F.substring(time, at, 2).cast("long") for at in (12, 15, 18))
    return F.unix_date(_date(time)).cast("long") * 86_400 + hour * 3_600 + minute * 60 + second


def local_seconds_of(moment: Column) -> Column:
    """Seconds of local time of a timestamp, in the zone of the session."""
    day = F.unix_date(F.to_date(moment)).cast("long")
    return day * 86_400 + F.hour(moment) * 3_600 + F.minute(moment) * 60 + F.second(moment)


def _date(time: Column) -> Column:
    return F.substring(time, 1, 10).try_cast("date")


def _any(conditions: list[Column]) -> Column:
    first, *rest = conditions
    for condition in rest:
        first = first | condition
    return first
