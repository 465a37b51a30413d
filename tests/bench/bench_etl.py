"""``make bench-etl``: the batch against a hand-written script, in one run, on a generated raw folder.

Prints the load of the machine, what each contestant and each step cost, and a table of the bars of the
batch: bar, measured, met. All is read from a warm page cache, and what an earlier run wrote is on the disk
before the next begins. Ends with 1 if a bar is missed, with 2 if the machine is busy with something else
(``--force`` runs all the same, and the figures then hold only as ratios).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_machine import description, look
from bench_measure import Measured, measure
from bench_raw import raw_folder, warm
from bench_report import bars_of, say_bars, say_figures, say_steps
from bench_resume import BATCH, digest, killed_and_resumed

HERE = Path(__file__).parent
SCRIPT = str(HERE / "duckdb_script.py")
PARTS = ("time", "memory", "xlsx", "resume")
ROWS, QUICK_ROWS, RESUME_ROWS = 5_000_000, 300_000, 300_000
# The first step behind merged_data: everything before it is reading and merging.
AFTER_MERGE = "profile"


def main() -> int:
    """Runs the parts that were asked for; the exit code says whether every bar of them was met."""
    chosen = _arguments()
    rows = chosen.rows or (QUICK_ROWS if chosen.quick else ROWS)
    work: Path = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    before = look()
    print(f"machine: {description()}\nbefore:  {before}", flush=True)
    if before.busy and not chosen.force:
        print("The machine is busy, so times would say little. Wait, or run with --force.", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"machine": description(), "before": str(before), "forced": chosen.force}
    if "time" in chosen.only:
        found |= _times(work, rows, chosen.repeat or (2 if rows >= 2_000_000 else 3), chosen.keep)
    if "memory" in chosen.only:
        found["memory"] = _memory(work, rows, found, chosen.keep)
    if "xlsx" in chosen.only:
        found["xlsx"] = _xlsx(work, rows)
    if "resume" in chosen.only:
        found["resume"] = _resume(work)
    after = look()
    found["after"] = str(after)
    print(f"after:   {after}\n")
    bars = bars_of(found)
    say_bars(bars)
    if chosen.json:
        chosen.json.write_text(json.dumps({**found, "bars": [asdict(one) for one in bars]}, indent=2) + "\n")
    return 0 if all(bar.met for bar in bars) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-etl", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, help=f"rows of the raw folder, default {ROWS:,}")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows, to try it out")
    parser.add_argument("--repeat", type=int, help="repetitions; default 2, and 3 below two million rows")
    parser.add_argument("--only", type=_parts, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--work", type=Path, default=Path("var/bench-etl"), help="raw folders are kept here")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--keep", action="store_true", help="leave the artefacts of the last run")
    parser.add_argument("--force", action="store_true", help="run although the machine is busy")
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"choose from {','.join(PARTS)}")
    return chosen


def _prepared(work: Path, rows: int) -> tuple[Path, dict[str, Any]]:
    raw, held = raw_folder(work, rows)
    print(
        f"\nraw folder: {held['rows']:,} rows in {held['files']} files, {held['bytes'] / 2**20:,.0f} MiB "
        f"({held['files_by_kind']}), made in {held['seconds']} s",
        flush=True,
    )
    return raw, held


def _ours(raw: Path, out: Path) -> Measured:
    warm(raw)
    return measure([sys.executable, BATCH, "five-steps", str(raw), str(out)])


def _script(raw: Path, out: Path) -> Measured:
    warm(raw)
    return measure([sys.executable, SCRIPT, str(raw), str(out)])


def _times(work: Path, rows: int, repeat: int, keep: bool) -> dict[str, Any]:
    """Script and batch in turn, ``repeat`` times, each into a fresh folder; the medians count."""
    raw, held = _prepared(work, rows)
    script, ours, digests, report = [], [], [], {}
    for number in range(repeat):
        theirs, out = work / "script", work / "ours"
        for folder in (theirs, out):
            shutil.rmtree(folder, ignore_errors=True)
        script.append(_script(raw, theirs))
        shutil.rmtree(theirs)
        ours.append(_ours(raw, out))
        digests.append(digest(out))
        report = json.loads((out / "report.json").read_text())
        say_figures(number + 1, script[-1], ours[-1], AFTER_MERGE)
    if not keep:
        shutil.rmtree(out)
    say_steps(ours)
    merge = [one.until(AFTER_MERGE) for one in ours]
    wall, cpu = (statistics.median(costs) for costs in zip(*merge, strict=True))
    return {
        "raw": held, "repeat": repeat, "script": _medians(script), "ours": _medians(ours),
        "merge": {"wall": wall, "cpu": cpu},
        "steps": {name: asdict(step) for name, step in ours[-1].steps.items()},
        "identical": all(one == digests[0] for one in digests), "imputed": report["imputed"],
        "rows_kept": report["rows_kept"], "script_steps": json.loads(script[-1].output)["steps"],
        "script_rows": json.loads(script[-1].output)["rows"],
    }  # fmt: skip


def _medians(runs: list[Measured]) -> dict[str, float]:
    names = ("wall", "cpu", "peak_mib", "private_mib", "one_mib", "others")
    return {name: statistics.median(getattr(one, name) for one in runs) for name in names}


def _memory(work: Path, rows: int, found: dict[str, Any], keep: bool) -> dict[str, Any]:
    """The batch over twice the rows, once; and over ``rows`` if that was not measured already."""
    answer = {}
    single = found.get("ours")
    for size in (rows, 2 * rows):
        if size == rows and single:
            answer[size] = {**single, "rows": found["raw"]["rows"]}
            continue
        raw, held = _prepared(work, size)
        out = work / "ours"
        shutil.rmtree(out, ignore_errors=True)
        one = _ours(raw, out)
        print(f"{held['rows']:,} rows: {one.wall:.1f} s, {one.cpu:.1f} CPU s, peak {one.peak_mib:,.0f} MiB")
        say_steps([one])
        answer[size] = {**_medians([one]), "rows": held["rows"]}
        if not keep:
            shutil.rmtree(out)
    return {"single": answer[rows], "double": answer[2 * rows]}


def _xlsx(work: Path, rows: int) -> dict[str, Any]:
    """One spreadsheet of the folder, twice each: read by us into typed parts, by openpyxl into nothing."""
    raw, _ = raw_folder(work, rows)
    sheets = work / "sheets"
    shutil.rmtree(sheets, ignore_errors=True)
    (sheets / "202401").mkdir(parents=True)
    largest = max(raw.rglob("*.xlsx"), key=lambda file: file.stat().st_size)
    shutil.copyfile(largest, sheets / "202401" / largest.name)
    taken: dict[str, list[dict[str, float]]] = {"xlsx-ours": [], "xlsx-openpyxl": []}
    for _ in range(2):
        for name, runs in taken.items():
            shutil.rmtree(work / "sheet-parts", ignore_errors=True)
            command = [sys.executable, BATCH, name, str(sheets), str(work / "sheet-parts")]
            runs.append(json.loads(measure(command).output))
    shutil.rmtree(sheets)
    shutil.rmtree(work / "sheet-parts", ignore_errors=True)
    if len({one["rows"] for runs in taken.values() for one in runs}) != 1:
        raise RuntimeError(f"The readers of {largest.name} disagree on its rows: {taken}")
    ours, part, theirs = (
        statistics.median(one[key] for one in taken[name])
        for name, key in (
            ("xlsx-ours", "seconds"), ("xlsx-ours", "part_seconds"), ("xlsx-openpyxl", "seconds"),
        )
    )  # fmt: skip
    count = int(taken["xlsx-ours"][0]["rows"])
    print(
        f"\nxlsx of {count:,} rows: ours read {ours:.2f} s, read, typed and written {part:.2f} s; "
        f"openpyxl read {theirs:.2f} s"
    )
    return {"rows": count, "ours": ours, "ours_written": part, "openpyxl": theirs, "ratio": theirs / ours}


def _resume(work: Path) -> dict[str, str]:
    raw, _ = raw_folder(work, RESUME_ROWS)
    out = work / "ours"
    shutil.rmtree(out, ignore_errors=True)
    steps = {name: one.wall for name, one in _ours(raw, out).steps.items() if name != "start"}
    shutil.rmtree(out)
    found = killed_and_resumed(raw, work, steps)
    print(f"\nkilled in a step and resumed ({RESUME_ROWS:,} rows): {found}")
    return found


if __name__ == "__main__":
    sys.exit(main())
