"""Edge: the passes of stored days, in the order in which they arrived.

Days come from the archive, which keeps the place of each pass in Kafka; a day that it lacks from the batch
output, which is in order of time. The live tables are never asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import polars as pl

from kakou.detection.files import read_passes
from kakou.detection.rehearsal.arrival import Order, in_order_of_arrival
from kakou.errors import BadInputError
from kakou.settings import Settings

Source = Literal["archive", "batch", "file"]
COLUMNS: Final = ("gcxh", "kkmc", "hpzl", "hphm", "clppxh", "t")
BATCH_FILE: Final = "master_data_cleaned.parquet"
_PLACE: Final = {"KAFKA_PARTITION": "partition", "KAFKA_OFFSET": "offset"}
# A day with less than this share of the fullest one is but the stamps of clocks that are wrong.
_LEAST_SHARE: Final = 0.01


@dataclass(frozen=True)
class StoredPasses:
    """Passes of some days.

    Attributes:
        passes: columns ``COLUMNS``, as ``files.read_passes`` has them, in order of arrival.
        days: those that were taken, with where from and how many passes.
        missing: days between the first and the last taken one that are not stored.
        order: how the order of arrival is known: by Kafka's offsets, by the passes' own time, or as the file
            has them.
    """

    passes: pl.DataFrame
    days: dict[date, tuple[Source, int]]
    missing: tuple[date, ...]
    order: Order


def read_stored(settings: Settings, most: int, until: date | None, given: Path | None) -> StoredPasses:
    """Reads the newest stored days.

    Args:
        most: how many days.
        until: the last one that may be taken; None for any.
        given: a file or folder to take instead of archive and batch output: a file as ``read_passes`` reads
            it, a folder of such files by their names, or one of archived days.

    Raises:
        BadInputError: no such day is stored, or a file cannot be read.
    """
    archive = _archived(given or settings.history_dir)
    if given is None:
        return _of_days(archive, settings.clean_dir / BATCH_FILE, settings, most, until)
    if archive:
        return _of_days(archive, None, settings, most, until)
    every = pl.concat(read_passes(path, settings.origins).passes for path in _files_of(given))
    counts = every.group_by(_day()).len()
    days = _newest({day: ("file", count) for day, count in counts.iter_rows()}, most, until)
    return _stored(every.filter(_day().is_in(list(days))), days, "file")


def _of_days(
    archive: Mapping[date, list[Path]], batch: Path | None, settings: Settings, most: int, until: date | None
) -> StoredPasses:
    stored: dict[date, tuple[Source, int]] = {}
    if batch is not None and batch.exists():
        counts = _observed(batch, settings).group_by(pl.col("GCSJ").dt.date()).len()
        stored |= {day: ("batch", count) for day, count in _collected(counts, batch).iter_rows() if day}
    for day, files in archive.items():
        count = _collected(pl.scan_parquet(files).select(pl.len()), files[0]).item()
        stored[day] = "archive", count
    days = _newest(stored, most, until)
    files = [file for day, (source, _) in days.items() if source == "archive" for file in archive[day]]
    rest = [day for day, (source, _) in days.items() if source == "batch"]
    parts = [_read(pl.scan_parquet(files), files[0])] if files else []
    if batch is not None and rest:
        wanted = pl.col("GCSJ").dt.date().is_in(rest)
        parts.append(_read(_observed(batch, settings).filter(wanted), batch))
    passes, order = in_order_of_arrival(pl.concat(parts))
    return _stored(passes.select(COLUMNS), days, order)


def _stored(passes: pl.DataFrame, days: dict[date, tuple[Source, int]], order: Order) -> StoredPasses:
    first, last = min(days), max(days)
    between = (first + timedelta(days=number) for number in range((last - first).days))
    return StoredPasses(passes, days, tuple(day for day in between if day not in days), order)


def _newest(
    stored: Mapping[date, tuple[Source, int]], most: int, until: date | None
) -> dict[date, tuple[Source, int]]:
    """The newest of the stored days, at most so many, the oldest first.

    Raises:
        BadInputError: there is none.
    """
    least = _LEAST_SHARE * max((count for _, count in stored.values()), default=0)
    real = sorted(day for day, (_, count) in stored.items() if count and count >= least)
    days = [day for day in real if until is None or day <= until][-most:]
    if days:
        return {day: stored[day] for day in days}
    if real:
        raise BadInputError(f"No day up to {until} is stored; the first one is {real[0]}. Name a later one.")
    raise BadInputError(
        "No day is stored: neither archive nor batch output holds passes. Run `kakou etl run`, wait for the "
        "DAG archive_day, or name passes with --passes."
    )


def _archived(folder: Path) -> dict[date, list[Path]]:
    """The files of each archived day; a day's folder appears whole."""
    found = {}
    for path in folder.glob("day=*"):
        try:
            day = date.fromisoformat(path.name.removeprefix("day="))
        except ValueError:
            continue
        if files := sorted(path.glob("*.parquet")):
            found[day] = files
    return found


def _files_of(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    files = sorted(path for path in given.iterdir() if path.suffix.lower() in (".parquet", ".csv"))
    if not files:
        raise BadInputError(f"{given} holds neither days (day=YYYY-MM-DD) nor Parquet or CSV. Name another.")
    return files


def _observed(batch: Path, settings: Settings) -> pl.LazyFrame:
    """The rows of the batch output that a gate saw, or all where the settings say so."""
    scan = pl.scan_parquet(batch)
    return scan if settings.origins == "all" else scan.filter(pl.col("ORIGIN") == "observed")


def _day() -> pl.Expr:
    return pl.from_epoch("t", time_unit="s").dt.date()


def _read(scan: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """``COLUMNS``, and ``partition`` and ``offset``, null where nothing is known of Kafka."""
    has = _columns(scan, path)
    text = (
        pl.col(name.upper()).cast(pl.String).fill_null("").str.strip_chars().alias(name)
        for name in COLUMNS
        if name != "t"
    )
    place = (
        (pl.col(name) if name in has else pl.lit(None)).cast(pl.Int64).alias(short)
        for name, short in _PLACE.items()
    )
    return _collected(scan.select(*text, pl.col("GCSJ").dt.epoch("s").alias("t"), *place), path)


def _columns(scan: pl.LazyFrame, path: Path) -> list[str]:
    try:
        return scan.collect_schema().names()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error


def _collected(scan: pl.LazyFrame, path: Path) -> pl.DataFrame:
    try:
        return scan.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> BadInputError:
    why = str(error).splitlines()[0]
    return BadInputError(
        f"The passes of {path.parent} cannot be read ({why}). Restore that file, or run the batch again."
    )
