"""Lays the raw folder out as the real one lies, in its dialects and with the faults that were asked for."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etl.generate.dialects import QUOTED_SHARE, XLSX_MOST_ROWS, write_csv, write_spreadsheet
from etl.generate.faults import (
    DEFAULT_FAULTS,
    FILES_PER_BLANK,
    heard,
    planted_silence,
    shorten,
    silences,
    specialise,
    with_blank_lines,
)  # fmt: skip
from etl.generate.layout import WHOLE_DAY, RawFile, plan
from etl.generate.profile import TrafficProfile, traffic_profile
from etl.generate.trips import Passes, make_passes, midnight
from etl.generate.vehicles import StrArray, Vehicles, make_vehicles
from kakou.errors import BadInputError
from kakou.fields import MISSING

__all__ = ["generate_raw", "plan"]

FIRST_ID: Final = 320_300_108_874_990_000
DEFAULT_DAYS: Final = 14
DEFAULT_SCALE: Final = 0.5
# Besides the seed, so that faults draw from a stream of chance of their own.
_FAULT_STREAM: Final = 7


@dataclass(slots=True)
class _World:
    """All that happened, before it is written, and what of it is a lie."""

    profile: TrafficProfile
    passes: Passes
    vehicles: Vehicles
    mark: StrArray
    ids: NDArray[np.int64]
    kept: NDArray[np.bool_]
    faults: Collection[str]
    masked: bool
    rng: np.random.Generator
    fault_rng: np.random.Generator
    marks_written: Counter[str] = field(default_factory=Counter)
    restamp: list[NDArray[Any]] = field(default_factory=list)
    csv_files: int = 0
    planted: dict[str, Any] = field(default_factory=dict)


def generate_raw(
    out: Path, *, days: int = DEFAULT_DAYS, seed: int = 1, masked: bool = False, scale: float = DEFAULT_SCALE,
    faults: Collection[str] = DEFAULT_FAULTS, spreadsheets: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Writes the raw folder below ``out`` and says how much it holds. The same arguments give the same bytes.

    Args:
        masked: cut every plate to four characters and ``***`` as the public export does.
        scale: amount of traffic; 1 is the real amount, about 14,000 passes a day.
        faults: names of ``etl.generate.faults.FAULTS``; the default ones are those of the real export.
        spreadsheets: at most so many files are XLSX; None for the real share.
        progress: called with (files done, files in all).

    Returns:
        ``files``, ``rows`` (byte copies count), ``vehicles``, and ``planted``, the truth about the faults:
        ``copied_file`` {copy: original}, ``partial_day`` [{file, day, from_second, to_second}],
        ``restamped_day`` [{file, day, of, rows}], ``silent_gate`` [{gate (its spellings), day, from_hour,
        to_hour, passes_lost}], ``special_plates`` {mark: rows}, ``blank_lines`` {file: [line, from 1]}.

    Raises:
        BadInputError: ``days``, ``scale`` or ``seed`` cannot be, or ``out`` holds files of something else.
    """
    if days < 1 or not 0 < scale < math.inf or seed < 0:
        raise BadInputError(
            f"days and scale must be above zero and the seed not below it, not {days}, {scale} and {seed}."
        )
    files = plan(days, faults, spreadsheets)
    _demand_own_folder(out, files)
    world = _world(files, seed, scale, masked, faults)
    written = {"files": 0, "rows": 0, "vehicles": world.passes.vehicles}
    restamped = {file.restamp_of for file in files}
    for done, file in enumerate(files):
        columns = _restamped(world, file) if file.restamp_of else _columns(world, _rows(world, file))
        if file.days[0] in restamped:
            world.restamp = columns
        _write_all(out, file, columns, world)
        written["files"] += 1 + len(file.copies)
        written["rows"] += (1 + len(file.copies)) * len(columns[0])
        if progress:
            progress(done + 1, len(files))
    if "special_plates" in faults:
        world.planted["special_plates"] = dict(sorted(world.marks_written.items()))
    return {**written, "planted": world.planted}


def _write_all(out: Path, file: RawFile, columns: Sequence[NDArray[Any]], world: _World) -> None:
    """Writes a file and its byte copies, and notes what is wrong with them."""
    path, blank = _write(out / file.name, columns, world)
    original = path.relative_to(out).as_posix()
    twins = [(out / copy).with_suffix(path.suffix) for copy in file.copies]
    for twin in twins:
        shutil.copyfile(path, twin)
        world.planted.setdefault("copied_file", {})[twin.relative_to(out).as_posix()] = original
    if blank:
        lines = world.planted.setdefault("blank_lines", {})
        lines |= {one.relative_to(out).as_posix(): blank for one in (path, *twins)}
    day = file.days[0].isoformat()
    if file.hours != WHOLE_DAY:
        first, last = file.hours
        part = {"file": original, "day": day, "from_second": first, "to_second": last}
        world.planted.setdefault("partial_day", []).append(part)
    if file.restamp_of:
        stamp = {"file": original, "day": day, "of": file.restamp_of.isoformat(), "rows": len(columns[0])}
        world.planted.setdefault("restamped_day", []).append(stamp)


def _world(
    files: Sequence[RawFile], seed: int, scale: float, masked: bool, faults: Collection[str]
) -> _World:
    profile, rng = traffic_profile(), np.random.default_rng(seed)
    fault_rng = np.random.default_rng([seed, _FAULT_STREAM])
    every = sorted(day for file in files if not file.restamp_of for day in file.days)
    passes = make_passes(profile, every, scale, rng)
    vehicles = make_vehicles(profile, passes.vehicles, rng)
    ids = FIRST_ID + np.cumsum(rng.integers(1, 120, len(passes.at)))
    mark = np.zeros(passes.vehicles, dtype="U1")
    if "special_plates" in faults:
        vehicles, mark = specialise(vehicles, fault_rng)
    world = _World(
        profile, passes, vehicles, mark, ids, np.ones(len(ids), dtype=bool), faults, masked, rng, fault_rng
    )
    if "silent_gate" in faults:
        whole = sorted(
            day for file in files if file.hours == WHOLE_DAY and not file.restamp_of for day in file.days
        )
        for silent in silences(profile, whole, fault_rng):
            outside = heard(passes, silent)
            lost = int((world.kept & ~outside).sum())
            world.planted.setdefault("silent_gate", []).append(planted_silence(profile, silent, lost))
            world.kept &= outside
    return world


def _rows(world: _World, file: RawFile) -> NDArray[np.int64]:
    starts = [midnight(day) for day in file.days]
    bounds = [starts[0] + file.hours[0], starts[-1] + file.hours[1]]
    low, high = np.searchsorted(world.passes.at, bounds)
    return np.arange(low, high)[world.kept[low:high]]


def _columns(world: _World, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The eight columns of ``rows``, the fifth as seconds since 1970."""
    profile, rng = world.profile, world.rng
    gate, vehicle = world.passes.gate[rows], world.passes.vehicle[rows]
    names = np.empty(len(rows), dtype=object)
    for number in range(len(profile.spellings)):
        here = np.flatnonzero(gate == number)
        spelling = rng.choice(len(profile.spellings[number]), len(here), p=profile.spelling_share[number])
        names[here] = np.array(profile.spellings[number], dtype=object)[spelling]
    plate_type = world.vehicles.plate_type[vehicle]
    plate_type = np.where(rng.random(len(rows)) < profile.missing_plate_type, MISSING, plate_type)
    brand = np.where(rng.random(len(rows)) < profile.missing_brand, MISSING, world.vehicles.brand[vehicle])
    plate = world.vehicles.plate[vehicle]
    if "short_plates" in world.faults:
        plate = shorten(plate, profile.malformed_plates, rng)
    if "special_plates" in world.faults:
        whole = plate == world.vehicles.plate[vehicle]
        world.marks_written.update(world.mark[vehicle[whole & (world.mark[vehicle] != "")]].tolist())
    if world.masked:
        plate = np.char.add(plate.astype("U4"), "***")
    district, direction = np.array(profile.district), np.array(profile.direction)
    at = world.passes.at[rows]
    return [world.ids[rows], district[gate], names, direction[gate], at, plate_type, plate, brand]


def _restamped(world: _World, file: RawFile) -> list[NDArray[Any]]:
    """The passes of another day once more: as they were read there, but with new ids and this file's date."""
    assert file.restamp_of is not None
    columns = list(world.restamp)
    moved = midnight(file.days[0]) - midnight(file.restamp_of)
    columns[0] = world.ids[-1] + np.cumsum(world.fault_rng.integers(1, 120, len(columns[0])))
    columns[4] = columns[4] + moved
    return columns


def _write(path: Path, columns: Sequence[NDArray[Any]], world: _World) -> tuple[Path, list[int]]:
    """Writes one file; returns where it lies in the end, and the numbers of its blank lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = len(columns[0])
    if path.suffix == ".xlsx" and size <= XLSX_MOST_ROWS:
        # The draw is made with or without the fault, so that the fault changes nothing else.
        quoted = world.rng.random(size) < QUOTED_SHARE
        write_spreadsheet(path, columns, quoted & ("quoted_codes" in world.faults))
        path.with_suffix(".csv").unlink(missing_ok=True)
        return path, []
    blank: list[int] = []

    def change(text: str) -> str:
        text, numbers = with_blank_lines(text, world.fault_rng)
        blank.extend(numbers)
        return text

    # December and what follows January come from one program, January from another.
    encoding = "gb18030" if path.stem.startswith("to_yqy") else "utf-8-sig"
    path.with_suffix(".xlsx").unlink(missing_ok=True)
    target = path.with_suffix(".csv")
    spoiled = "blank_lines" in world.faults and world.csv_files % FILES_PER_BLANK == 0
    world.csv_files += 1
    write_csv(target, columns, encoding, change if spoiled else None)
    return target, blank


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
