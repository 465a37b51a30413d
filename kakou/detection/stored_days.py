"""Edge: the passes of stored days, in the order in which they arrived.

Days come from the archive, which keeps the place of each pass in Kafka; a day that it lacks from the batch
output, which is in order of time. The live tables are never asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

import polars as pl

from kakou.detection.arrival import Order, in_order_of_arrival
from kakou.detection.files import read_passes
from kakou.errors import BadInputError
from kakou.settings import Settings

Source = Literal["archive", "batch", "file"]
COLUMNS: Final = ("gcxh", "kkmc", "hpzl", "hphm", "clppxh", "t")
BATCH_FILE: Final = "master_data_cleaned.parquet"
_PLACE: Final = {"KAFKA_PARTITION": "partition", "KAFKA_OFFSET": "offset"}
_DAY: Final = pl.from_epoch("t", time_unit="s").dt.date().alias("day")


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
    if given is not None and not archive:
        read = pl.concat(read_passes(path, settings.origins).passes for path in _files_of(given))
        of_file: dict[date, Source] = dict.fromkeys(read.select(_DAY)["day"].unique(), "file")
        days = _newest(of_file, most, until, f"{given} holds")
        return _stored(read.filter(_of_days(days)), days, "file")
    batch = settings.clean_dir / BATCH_FILE
    stored: dict[date, Source] = {} if given else dict.fromkeys(_days_of_batch(batch, settings), "batch")
    days = _newest(stored | dict.fromkeys(archive, "archive"), most, until, f"{given or settings.var} holds")
    files = [file for day in sorted(days) if days[day] == "archive" for file in archive[day]]
    parts = [_read(pl.scan_parquet(files), files[0])] if files else []
    if "batch" in days.values():
        seen = _observed(batch, settings)
        rest = {day: source for day, source in days.items() if source == "batch"}
        parts.append(_read(seen.filter(pl.col("GCSJ").dt.date().is_in(list(rest))), batch))
    passes, order = in_order_of_arrival(pl.concat(parts))
    return _stored(passes.select(COLUMNS), days, order)


def _stored(passes: pl.DataFrame, days: dict[date, Source], order: Order) -> StoredPasses:
    counts = dict(passes.group_by(_DAY).len().iter_rows())
    first, last = min(days), max(days)
    between = (first + timedelta(days=number) for number in range((last - first).days))
    return StoredPasses(
        passes,
        {day: (days[day], counts.get(day, 0)) for day in sorted(days)},
        tuple(day for day in between if day not in days),
        order,
    )


def _newest(stored: dict[date, Source], most: int, until: date | None, holds: str) -> dict[date, Source]:
    """The newest of the stored days, at most so many.

    Raises:
        BadInputError: there is none.
    """
    days = sorted(day for day in stored if until is None or day <= until)[-most:]
    if not days:
        why = f" up to {until}; the first one is {min(stored)}" if until and stored else ""
        raise BadInputError(
            f"{holds} no stored day{why}. Run `kakou etl run`, wait for the DAG archive_day, or name passes "
            "with --passes."
        )
    return {day: stored[day] for day in days}


def _archived(folder: Path) -> dict[date, list[Path]]:
    """The files of each archived day; a day's folder appears whole."""
    found = {}
    for path in sorted(folder.glob("day=*")):
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


def _days_of_batch(path: Path, settings: Settings) -> Iterable[date]:
    if not path.exists():
        return []
    days = _observed(path, settings).select(pl.col("GCSJ").dt.date().alias("day").unique())
    return [day for (day,) in _collected(days, path).iter_rows() if day is not None]


def _observed(path: Path, settings: Settings) -> pl.LazyFrame:
    """The rows of the batch output that a gate saw, or all where the settings say so."""
    scan = pl.scan_parquet(path)
    return scan if settings.origins == "all" else scan.filter(pl.col("ORIGIN") == "observed")


def _of_days(days: Iterable[date]) -> pl.Expr:
    return pl.from_epoch("t", time_unit="s").dt.date().is_in(list(days))


def _read(scan: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """Columns ``COLUMNS`` and ``partition``, ``offset``, null where nothing is known of Kafka."""
    try:
        has = scan.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error
    text = (
        pl.col(name.upper()).cast(pl.String).fill_null("").str.strip_chars().alias(name)
        for name in COLUMNS[:-1]
    )
    place = (
        (pl.col(name) if name in has else pl.lit(None)).cast(pl.Int64).alias(short)
        for name, short in _PLACE.items()
    )
    return _collected(scan.select(*text, pl.col("GCSJ").dt.epoch("s").alias("t"), *place), path)


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
