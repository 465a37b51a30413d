"""Lays the raw folder out as the real one lies: which day is in which file, in which dialect, with which
fault."""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from etl.generate.profile import TrafficProfile, traffic_profile
from etl.generate.trips import Passes, make_passes, midnight
from etl.generate.vehicles import Vehicles, make_vehicles
from etl.io.xlsx_write import write_xlsx
from kakou.errors import BadInputError
from kakou.fields import MISSING

CSV_HEADER: Final = ("GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HP", "CLPPXH")
XLSX_HEADER: Final = (
    "'G'||GCXH", "XZQHMC", "KKMC", "FXLX",
    "TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M", "HPZL", "SUBSTR(HPHM,0,4)||'***'", "CLPPXH",
)  # fmt: skip
FIRST_ID: Final = 320_300_108_874_990_000
XLSX_MOST_ROWS: Final = (
    300_000  # a fuller day is written as CSV, as a spreadsheet could not hold a far fuller one
)
DEFAULT_DAYS: Final = 14
DEFAULT_SCALE: Final = 0.5


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file to write. ``hours`` limits a partial day to [first, last) seconds of the day."""

    name: str
    days: tuple[date, ...]
    hours: tuple[int, int] = (0, 86_400)
    copies: tuple[str, ...] = ()


def plan(count: int) -> list[RawFile]:
    """Which files hold ``count`` days: December in CSV, January in XLSX, anything after it in CSV again."""
    december = [date(2023, 12, day) for day in (*range(17, 7, -1), 24, 25)][: min(12, (count + 1) // 2)]
    january = [date(2024, 1, day) for day in (*range(1, 13), *range(14, 32))][: count - len(december)]
    later = [date(2024, 2, 1) + timedelta(n) for n in range(count - len(december) - len(january))]
    files = []
    for day in sorted(december):
        hours = (37_260, 39_660) if day.day == 12 else (0, 86_400)  # 10:21 to 11:01, as in the export
        copies = tuple(_december(copy) for copy in range(18, 22)) if day.day == 17 and count >= 4 else ()
        files.append(RawFile(_december(day.day), (day,), hours, copies))
    together = tuple(january[-2:]) if len(january) >= 5 else ()
    alone = [day for day in january if day not in together]
    for day in alone:
        last = day == alone[-1] and len(alone) >= 3
        # Once a day of this month was exported under another day's name.
        copies = ("202401/13.xlsx",) if day.day == 2 else ()
        files.append(RawFile(f"202401/{day.day:02d}.xlsx", (day,), (0, 32_400 if last else 86_400), copies))
    if together:
        files.append(RawFile(f"202401/{together[0].day:02d}-{together[1].day:02d}.xlsx", together))
    files += [RawFile(f"{day:%Y%m}/to_yqy_{day:%m%d}.csv", (day,)) for day in later]
    return files


def _december(day: int) -> str:
    return f"202312/to_yqy_12{day:02d}.csv" if day < 10 else f"202312/to_yqy_120{day}.csv"


def generate_raw(
    out: Path, *, days: int = DEFAULT_DAYS, seed: int = 1, masked: bool = False, scale: float = DEFAULT_SCALE,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:  # fmt: skip
    """Writes the raw folder below ``out`` and says how much it holds. The same arguments give the same bytes.

    Args:
        masked: cut every plate to four characters and ``***`` as the public export does.
        scale: amount of traffic; 1 is the real amount, about 14,000 passes a day.
        progress: called with (files done, files in all).

    Raises:
        BadInputError: ``days``, ``scale`` or ``seed`` cannot be, or ``out`` holds files of something else.
    """
    if days < 1 or not 0 < scale < math.inf or seed < 0:
        raise BadInputError(
            f"days and scale must be above zero and the seed not below it, not {days}, {scale} and {seed}."
        )
    _demand_own_folder(out, plan(days))
    profile, rng = traffic_profile(), np.random.default_rng(seed)
    files = plan(days)
    every = sorted(day for file in files for day in file.days)
    passes = make_passes(profile, every, scale, rng)
    vehicles = make_vehicles(profile, passes.vehicles, rng)
    ids = FIRST_ID + np.cumsum(rng.integers(1, 120, len(passes.at)))
    written = {"files": 0, "rows": 0, "vehicles": passes.vehicles}
    for done, file in enumerate(files):
        columns = _columns(profile, passes, vehicles, ids, _rows(passes, file), masked, rng)
        _write(out / file.name, columns, rng)
        for copy in file.copies:
            shutil.copyfile(_existing(out / file.name), _twin(out / copy, out / file.name))
        written["files"] += 1 + len(file.copies)
        written["rows"] += (1 + len(file.copies)) * len(columns[0])
        if progress:
            progress(done + 1, len(files))
    return written


def _rows(passes: Passes, file: RawFile) -> NDArray[np.int64]:
    starts = [midnight(day) for day in file.days]
    low, high = np.searchsorted(passes.at, [starts[0] + file.hours[0], starts[-1] + file.hours[1]])
    return np.arange(low, high)


def _columns(
    profile: TrafficProfile, passes: Passes, vehicles: Vehicles, ids: NDArray[np.int64],
    rows: NDArray[np.int64], masked: bool, rng: np.random.Generator,
) -> list[NDArray[Any]]:  # fmt: skip
    """The eight columns of ``rows``, the fifth as seconds since 1970."""
    gate, vehicle = passes.gate[rows], passes.vehicle[rows]
    names = np.empty(len(rows), dtype=object)
    for number in range(len(profile.spellings)):
        here = np.flatnonzero(gate == number)
        spelling = rng.choice(len(profile.spellings[number]), len(here), p=profile.spelling_share[number])
        names[here] = np.array(profile.spellings[number], dtype=object)[spelling]
    plate_type = np.where(
        rng.random(len(rows)) < profile.missing_plate_type, MISSING, vehicles.plate_type[vehicle]
    )
    brand = np.where(rng.random(len(rows)) < profile.missing_brand, MISSING, vehicles.brand[vehicle])
    plate = _spoil(vehicles.plate[vehicle], profile.malformed_plates, rng)
    if masked:
        plate = np.char.add(plate.astype("U4"), "***")
    district, direction = np.array(profile.district), np.array(profile.direction)
    return [ids[rows], district[gate], names, direction[gate], passes.at[rows], plate_type, plate, brand]


def _demand_own_folder(out: Path, files: Sequence[RawFile]) -> None:
    """Refuses a folder whose other raw files would be read together with ours as one export."""
    ours = {out / name for file in files for name in (file.name, *file.copies)}
    ours |= {path.with_suffix(suffix) for path in ours for suffix in (".csv", ".xlsx")}
    if out.exists() and not out.is_dir():
        raise BadInputError(f"{out} is a file. Name a folder with --out.")
    strangers = {path for kind in ("csv", "xlsx") for path in out.glob(f"*/*.{kind}")} - ours
    if strangers:
        raise BadInputError(f"{out} already holds {min(strangers)} of another export. Name an empty folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"{out} cannot be made ({error.strerror}). Name another folder with --out."
        ) from error


def _spoil(plate: NDArray[np.str_], share: float, rng: np.random.Generator) -> NDArray[np.str_]:
    """Some reads lose the province, or all but one or two marks, or everything."""
    spoiled = plate.copy()
    rows = np.flatnonzero(rng.random(len(plate)) < share)
    kinds = rng.choice(5, len(rows), p=(0.06, 0.05, 0.07, 0.12, 0.70))
    for row, kind in zip(rows.tolist(), kinds.tolist(), strict=True):
        whole = str(plate[row])
        spoiled[row] = (MISSING, whole[-1], whole[1:3], whole[1:4], whole[1:])[kind]
    return spoiled


def _write(path: Path, columns: Sequence[NDArray[Any]], rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    spreadsheet, size = path.suffix == ".xlsx", len(columns[0])
    if not spreadsheet or size > XLSX_MOST_ROWS:
        cells = [*columns[:4], _times(columns[4], "%Y/%m/%d ", padded=False), *columns[5:]]
        table = pa.table(
            {name: pa.array(cell.astype("U")) for name, cell in zip(CSV_HEADER, cells, strict=True)}
        )
        sink = io.BytesIO()
        pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="all_valid"))
        encoding = "utf-8-sig" if spreadsheet else "gb18030"
        path.with_suffix(".csv").write_bytes(sink.getvalue().decode().encode(encoding))
        return
    quoted = rng.random(size) < 0.02  # a person once opened the sheet and typed codes as text
    kinds = np.where(quoted, np.char.add("'", np.char.lstrip(columns[5].astype("U2"), "0")), columns[5])
    times = _times(columns[4], "%Y-%m-%d ", padded=True)
    ids = np.char.add("G", columns[0].astype("U18"))
    write_xlsx(path, XLSX_HEADER, [ids, *columns[1:4], times, kinds, *columns[6:]])


def _times(at: NDArray[Any], day_format: str, *, padded: bool) -> NDArray[np.str_]:
    """Seconds since 1970 as text; the CSV export pads no hour."""
    day, second = np.divmod(at, 86_400)
    days, which = np.unique(day, return_inverse=True)
    names = np.array([(date(1970, 1, 1) + timedelta(int(n))).strftime(day_format) for n in days], dtype="U11")
    width = 2 if padded else 1
    clock = np.array([f"{s // 3600:0{width}d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)])
    return np.char.add(names[which], clock[second])


def _existing(path: Path) -> Path:
    return path if path.exists() else path.with_suffix(".csv")


def _twin(copy: Path, original: Path) -> Path:
    return copy.with_suffix(_existing(original).suffix)
