"""Which day lies in which raw file, and under which name: the months, gaps and copies of the real export."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from etl.generate.faults import DEFAULT_FAULTS

WHOLE_DAY: Final = (0, 86_400)
DECEMBER_PART: Final = (37_260, 39_660)  # 10:21 to 11:01, as in the export
JANUARY_PART: Final = (0, 32_400)
RESTAMPED_ON: Final = date(2023, 12, 22)  # a day of the gap that the export has between 17 and 24 December


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file to write.

    Attributes:
        hours: limits a partial day to [first, last) seconds of the day.
        copies: names under which the same bytes lie once more.
        restamp_of: the day whose passes the file holds under its own day's date; None for an honest file.
    """

    name: str
    days: tuple[date, ...]
    hours: tuple[int, int] = WHOLE_DAY
    copies: tuple[str, ...] = ()
    restamp_of: date | None = None


def plan(
    count: int, faults: Collection[str] = DEFAULT_FAULTS, spreadsheets: int | None = None
) -> list[RawFile]:
    """Which files hold ``count`` days: December in CSV, January in XLSX, anything after it in CSV again.

    Args:
        faults: names of ``etl.generate.faults.FAULTS``.
        spreadsheets: at most so many files of January are XLSX, the later ones CSV; None for all.
    """
    december = [date(2023, 12, day) for day in (*range(17, 7, -1), 24, 25)][: min(12, (count + 1) // 2)]
    january = [date(2024, 1, day) for day in (*range(1, 13), *range(14, 32))][: count - len(december)]
    later = [date(2024, 2, 1) + timedelta(n) for n in range(count - len(december) - len(january))]
    files = _december_files(december, faults, with_copies=count >= 4)
    sheets = _january_files(january, faults)
    files += [
        file if spreadsheets is None or number < spreadsheets else _as_csv(file)
        for number, file in enumerate(sheets)
    ]
    return files + [RawFile(f"{day:%Y%m}/to_yqy_{day:%m%d}.csv", (day,)) for day in later]


def _december_files(days: list[date], faults: Collection[str], *, with_copies: bool) -> list[RawFile]:
    files = []
    for day in sorted(days):
        hours = DECEMBER_PART if day.day == 12 and "partial_day" in faults else WHOLE_DAY
        copied = day.day == 17 and with_copies and "copied_file" in faults
        copies = tuple(_december(copy) for copy in range(18, 22)) if copied else ()
        files.append(RawFile(_december(day.day), (day,), hours, copies))
    if "restamped_day" in faults:
        # 17 December is whole in every plan.
        source = date(2023, 12, 17)
        files.append(RawFile(_december(RESTAMPED_ON.day), (RESTAMPED_ON,), restamp_of=source))
    return files


def _january_files(days: list[date], faults: Collection[str]) -> list[RawFile]:
    files = []
    together = tuple(days[-2:]) if len(days) >= 5 else ()
    alone = [day for day in days if day not in together]
    for day in alone:
        cut = day == alone[-1] and len(alone) >= 3 and "partial_day" in faults
        # Once a day of this month was exported under another day's name.
        copies = ("202401/13.xlsx",) if day.day == 2 and "copied_file" in faults else ()
        files.append(
            RawFile(f"202401/{day.day:02d}.xlsx", (day,), JANUARY_PART if cut else WHOLE_DAY, copies)
        )
    if together:
        files.append(RawFile(f"202401/{together[0].day:02d}-{together[1].day:02d}.xlsx", together))
    return files


def _december(day: int) -> str:
    return f"202312/to_yqy_12{day:02d}.csv" if day < 10 else f"202312/to_yqy_120{day}.csv"


def _as_csv(file: RawFile) -> RawFile:
    copies = tuple(name.replace(".xlsx", ".csv") for name in file.copies)
    return RawFile(file.name.replace(".xlsx", ".csv"), file.days, file.hours, copies)
