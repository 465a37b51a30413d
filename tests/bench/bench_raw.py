"""The raw folder that is measured: generated once for a size and a state of the generator, then kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import etl.generate
from etl.generate.faults import FAULTS
from etl.generate.raw_folder import generate_raw

# Passes of a day at scale 1; days that copies and the re-stamped day add, less what partial ones lack.
ROWS_PER_DAY, DAYS_MORE = 14_080, 4.2
ROWS_OF_A_MONTH = 5_000_000


def raw_folder(work: Path, rows: int) -> tuple[Path, dict[str, Any]]:
    """A folder of about ``rows`` rows (never below), and what it holds.

    Up to five million rows lie in 30 days (14 for less than two million); more rows are more days of the same
    traffic, as they would be. One spreadsheet a month is left, so that 3 to 4 % of the rows lie in XLSX.
    """
    version = hashlib.sha256(b"".join(file.read_bytes() for file in _sources())).hexdigest()[:8]
    folder = work / f"raw-{rows}-{version}"
    note = folder / ".made.json"
    if not note.exists():
        for old in work.glob(f"raw-{rows}-*"):
            shutil.rmtree(old)
        months = max(1, round(rows / ROWS_OF_A_MONTH))
        days = 30 * months if rows >= 2_000_000 else 14
        scale = rows * 1.01 / (ROWS_PER_DAY * (days + DAYS_MORE))
        begin = time.monotonic()
        held = generate_raw(folder, days=days, scale=scale, faults=frozenset(FAULTS), spreadsheets=months)
        held |= {"days": days, "seconds": round(time.monotonic() - begin, 1), **_shares(folder)}
        note.write_text(json.dumps(held, ensure_ascii=False))
    return folder, dict(json.loads(note.read_text()))


def warm(folder: Path) -> None:
    """Reads every byte, so that each contestant finds the files in the page cache."""
    for file in folder.rglob("*.*"):
        with file.open("rb") as opened:
            while opened.read(1 << 22):
                pass


def _sources() -> list[Path]:
    home = Path(next(iter(etl.generate.__path__)))
    return [
        *sorted(home.glob("*.py")),
        home.parent / "io/xlsx_write.py",
        home.parent / "data/traffic_profile.json",
    ]


def _shares(folder: Path) -> dict[str, Any]:
    files = [file for file in folder.rglob("*.*") if file.suffix in (".csv", ".xlsx")]
    size: dict[str, int] = {}
    for file in files:
        kind = "xlsx" if file.suffix == ".xlsx" else "gb18030" if file.stem.startswith("to_yqy") else "utf-8"
        size[kind] = size.get(kind, 0) + 1
    return {"files_by_kind": size, "bytes": sum(file.stat().st_size for file in files)}
