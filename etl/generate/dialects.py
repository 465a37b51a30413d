"""Writes the eight columns the way the export's two programs wrote them: one CSV, one XLSX."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from etl.io.xlsx_write import write_xlsx

CSV_HEADER: Final = ("GCXH", "XZQHMC", "KKMC", "FXLX", "GCSJ", "HPZL", "HP", "CLPPXH")
XLSX_HEADER: Final = (
    "'G'||GCXH", "XZQHMC", "KKMC", "FXLX",
    "TO_CHAR(GCSJ,'YYYY-MM-DDHH24:M", "HPZL", "SUBSTR(HPHM,0,4)||'***'", "CLPPXH",
)  # fmt: skip
# A fuller day is written as CSV, as a spreadsheet could not hold a far fuller one.
XLSX_MOST_ROWS: Final = 300_000
QUOTED_SHARE: Final = 0.02
Columns = Sequence[NDArray[Any]]


def write_csv(
    path: Path, columns: Columns, encoding: str, change: Callable[[str], str] | None = None
) -> None:
    """Writes a quoted CSV whose hours are not padded. ``change`` may spoil the text before it is encoded."""
    cells = [*columns[:4], times(columns[4], "%Y/%m/%d ", padded=False), *columns[5:]]
    table = pa.table({name: pa.array(cell.astype("U")) for name, cell in zip(CSV_HEADER, cells, strict=True)})
    sink = io.BytesIO()
    pa_csv.write_csv(table, sink, pa_csv.WriteOptions(quoting_style="all_valid"))
    text = sink.getvalue().decode()
    path.write_bytes((change(text) if change else text).encode(encoding))


def write_spreadsheet(path: Path, columns: Columns, quoted: NDArray[np.bool_]) -> None:
    """Writes an XLSX with ids that begin with G; ``quoted`` rows have a code that a person typed as text."""
    kinds = np.where(quoted, np.char.add("'", np.char.lstrip(columns[5].astype("U2"), "0")), columns[5])
    ids = np.char.add("G", columns[0].astype("U18"))
    at = times(columns[4], "%Y-%m-%d ", padded=True)
    write_xlsx(path, XLSX_HEADER, [ids, *columns[1:4], at, kinds, *columns[6:]])


def times(at: NDArray[Any], day_format: str, *, padded: bool) -> NDArray[np.str_]:
    """Seconds since 1970 as text; the CSV export pads no hour."""
    day, second = np.divmod(at, 86_400)
    days, which = np.unique(day, return_inverse=True)
    names = np.array([(date(1970, 1, 1) + timedelta(int(n))).strftime(day_format) for n in days], dtype="U11")
    return np.char.add(names[which], _clock(padded)[second])


@cache
def _clock(padded: bool) -> NDArray[np.str_]:
    width = 2 if padded else 1
    return np.array([f"{s // 3600:0{width}d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)])
