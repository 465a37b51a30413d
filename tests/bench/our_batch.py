"""What the benchmark starts as a process of its own: our five steps, or one XLSX by us or by openpyxl."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def _mark(step: str) -> None:
    with Path(os.environ["BENCH_MARKS"]).open("a") as file:
        file.write(json.dumps({"step": step, "at": time.monotonic()}) + "\n")


def five_steps(raw: Path, out: Path) -> None:
    """All steps as ``kakou etl run`` calls them; each is marked when it first reports."""
    from etl import pipeline

    seen: set[str] = set()

    def tell(step: str, done: int, total: int) -> None:
        del done, total
        if step not in seen:
            seen.add(step)
            _mark(step)

    report = pipeline.run(raw, out, pipeline.EtlParams(), tell)
    print(json.dumps({"rows_read": report["rows_read"], "rows_kept": report["rows_kept"]}))


def xlsx_by_us(raw: Path, out: Path) -> None:
    """Reads the spreadsheets of ``raw`` into columns of text, then once more into typed and written parts.

    Prints rows, the seconds of each without the imports at the top of the modules.
    """
    from etl import pipeline
    from etl.io.engine import engine
    from etl.io.tables import open_tables

    names = pipeline.list_raw_files(raw)
    begin = time.perf_counter()
    with engine(out) as con:
        for name in names:
            for _ in open_tables(con, raw / name, out / "scratch"):
                pass
    read = time.perf_counter()
    rows = sum(pipeline.read_file(raw, name, out, pipeline.EtlParams()).rows for name in names)
    part = time.perf_counter() - read
    print(json.dumps({"rows": rows, "seconds": read - begin, "part_seconds": part}))


def xlsx_by_openpyxl(raw: Path, out: Path) -> None:
    """Only takes every cell of the spreadsheets into Python: no types, no checks, nothing written."""
    del out
    from openpyxl import load_workbook

    begin, rows = time.perf_counter(), 0
    for file in sorted(raw.rglob("*.xlsx")):
        book = load_workbook(file, read_only=True)
        for sheet in book.worksheets:
            rows += max(
                0, sum(any(cell is not None for cell in row) for row in sheet.iter_rows(values_only=True)) - 1
            )
        book.close()
    seconds = time.perf_counter() - begin
    print(json.dumps({"rows": rows, "seconds": seconds, "part_seconds": seconds}))


if __name__ == "__main__":
    work = {"five-steps": five_steps, "xlsx-ours": xlsx_by_us, "xlsx-openpyxl": xlsx_by_openpyxl}
    work[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
