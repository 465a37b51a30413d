"""Rule: which hours of which gate are known, and how many passes they hold.

A gate that is silent for an hour and an export that is cut off look alike in the passes. So an hour counts
as zero only where the day shows that recording was on; everything else is unknown and is left out, never
filled. Where an hour was filled with passes of another day, the true number is unknown too: the few rows
that have no twin there are not the traffic of that hour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kakou.errors import BadInputError, TooLittleDataError
from spark_jobs.flow_calendar import day_kind

# The day's first hour is whole if its first pass, over all gates, comes this soon; the last hour likewise.
EDGE_SECONDS: Final = 600
LEAST_DAYS: Final = 7
LEAST_HOURS: Final = 12
COUNT_COLUMNS: Final = ("kkmc", "day", "hour", "count")
CSV_COLUMNS: Final = ("kkmc", "hour", "count")


class TooLittleHistoryError(TooLittleDataError):
    """As its parent; ``reason_zh`` says the same in Chinese, for the screen."""

    def __init__(self, reason: str, reason_zh: str) -> None:
        super().__init__(reason)
        self.reason_zh = reason_zh


def hourly_cells(passes: DataFrame) -> pd.DataFrame:
    """Counts passes per gate and hour, each GCXH once.

    Args:
        passes: as ``spark_jobs.passes.read_passes`` gives them.

    Returns:
        ``kkmc, day, hour, count, first_second, last_second, made_up`` (seconds within the hour of the cell's
        first and last pass; how many rows no gate saw).
    """
    second = F.minute("at") * 60 + F.second("at")
    cells = passes.groupBy("kkmc", F.to_date("at").alias("day"), F.hour("at").alias("hour")).agg(
        F.countDistinct("gcxh").alias("count"),
        F.min(second).alias("first_second"),
        F.max(second).alias("last_second"),
        F.count_if("made_up").alias("made_up"),
    )
    return pd.DataFrame(cells.toPandas())


def known_hours(cells: pd.DataFrame) -> pd.DataFrame:
    """Adds the zeros that are known and drops the hours that are not.

    An hour of a day is recorded if any gate saw a pass in it, none was made up, and it is not cut: the first
    (last) hour of the day is left out where its first (last) pass is more than ``EDGE_SECONDS`` from the
    hour's begin (end). Within the recorded hours of a day a gate that saw at least one pass that day has zero
    where it saw none; a gate not seen that day is unknown all day.

    Args:
        cells: as ``hourly_cells`` gives them.

    Returns:
        ``COUNT_COLUMNS``, sorted; ``day`` is a ``datetime.date``.
    """
    if cells.empty:
        return pd.DataFrame(columns=list(COUNT_COLUMNS))
    hours = cells.groupby(["day", "hour"], as_index=False).agg(
        first=("first_second", "min"), last=("last_second", "max"), made_up=("made_up", "sum")
    )
    hours = hours[hours["made_up"] == 0]
    begins = hours["hour"] == hours.groupby("day")["hour"].transform("min")
    ends = hours["hour"] == hours.groupby("day")["hour"].transform("max")
    cut = (begins & (hours["first"] > EDGE_SECONDS)) | (ends & (hours["last"] < 3600 - EDGE_SECONDS))
    recorded = hours.loc[~cut, ["day", "hour"]]
    seen = cells.merge(hours[["day", "hour"]], on=["day", "hour"])[["kkmc", "day"]].drop_duplicates()
    known = seen.merge(recorded, on="day").merge(
        cells[["kkmc", "day", "hour", "count"]], on=["kkmc", "day", "hour"], how="left"
    )
    known["count"] = known["count"].fillna(0).astype("int64")
    return known[list(COUNT_COLUMNS)].sort_values(["kkmc", "day", "hour"], ignore_index=True)


def read_counts(path: Path) -> pd.DataFrame:
    """Reads known hours from a CSV ``kkmc,hour,count``; an hour that is not there is unknown.

    Returns:
        ``COUNT_COLUMNS``, sorted.

    Raises:
        BadInputError: the file is not there, lacks a column, or a row cannot be understood.
    """
    if not path.is_file():
        raise BadInputError(f"There is no file {path}; name a CSV with the columns kkmc,hour,count.")
    try:
        frame = pd.read_csv(path, dtype={"kkmc": "string", "hour": "string"}, encoding="utf-8-sig")
    except ValueError as error:
        raise BadInputError(f"{path} cannot be read as CSV: {error}") from error
    missing = [name for name in CSV_COLUMNS if name not in frame.columns]
    if missing:
        raise BadInputError(f"{path} lacks the column {', '.join(missing)}; it needs kkmc,hour,count.")
    at = pd.to_datetime(frame["hour"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    count = pd.to_numeric(frame["count"], errors="coerce")
    bad = (
        at.isna()
        | count.isna()
        | (count < 0)
        | frame["kkmc"].isna()
        | (at.dt.minute != 0)
        | (at.dt.second != 0)
    )
    if bad.any():
        line = int(bad.to_numpy().argmax()) + 2
        raise BadInputError(
            f"Line {line} of {path} cannot be understood; write gate, YYYY-MM-DD HH:00:00, count from 0."
        )
    known = pd.DataFrame(
        {
            "kkmc": frame["kkmc"].astype(str),
            "day": at.dt.date,
            "hour": at.dt.hour.astype("int64"),
            "count": count.astype("float64"),
        }
    )
    if known.duplicated(["kkmc", "day", "hour"]).any():
        raise BadInputError(f"{path} names the same gate and hour twice; keep one row for each.")
    return known.sort_values(["kkmc", "day", "hour"], ignore_index=True)


def with_calendar(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds ``is_weekend`` and ``is_holiday`` by ``day``."""
    days = pd.DataFrame(
        [(day, *day_kind(day)) for day in frame["day"].unique()],
        columns=["day", "is_weekend", "is_holiday"],
    )
    return frame.merge(days, on="day", how="left")


def demand_history(known: pd.DataFrame) -> None:
    """Refuses a history that can carry no forecast.

    Raises:
        TooLittleHistoryError: fewer than ``LEAST_DAYS`` days have ``LEAST_HOURS`` known hours.
    """
    hours = known.groupby("day")["hour"].nunique() if len(known) else pd.Series(dtype="int64")
    full = sorted(hours.index[hours >= LEAST_HOURS])
    if len(full) >= LEAST_DAYS:
        return
    raise TooLittleHistoryError(
        f"Too little data for a flow model: {len(full)} of {len(hours)} observed days have at least "
        f"{LEAST_HOURS} whole hours, and {LEAST_DAYS} such days are needed; "
        "add days to the raw folder and run the batch again.",
        f"数据不足，无法训练流量模型：{len(hours)} 个观测日中只有 {len(full)} 天有至少 "
        f"{LEAST_HOURS} 个完整小时，至少需要 {LEAST_DAYS} 天；"
        "请在原始数据目录中补充更多日期后重新运行批处理。",
    )
