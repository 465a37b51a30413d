"""``make bench-stream``: the stream on preloaded records, its writer beside others, and how it bears kills.

Each part has stores of its own, in a folder that is removed afterwards. Prints the load of the machine, the
figures of each part and a table of the bars: bar, measured, met. Ends with 1 if a bar is missed, with 2 if
the machine is busy with something else (``--force`` runs all the same, and the figures then mean little).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_machine import description, look
from bench_report import say_bars
from stream_job import StreamError
from stream_kills import run_kills
from stream_latency import run_latency
from stream_pipeline import Question, run_pipeline
from stream_report import bars_of, say
from stream_soak import run_soak
from stream_writer import run_writers

from kakou.errors import KakouError

PARTS = ("pipeline", "writer", "endpoint", "latency", "kills", "soak")
LONG = ("kills", "soak")
SOAK_MINUTES, SOAK_RATE, LATENCY_RATE = 30.0, 2_000.0, 1_000.0
# Pass times of a preloaded topic: all within the detector's window, so its state forgets nothing meanwhile.
SPAN_MINUTES = 115.0
ENDPOINT_BATCH = 10_000


def main() -> int:
    """Runs the parts that were asked for; the exit code says whether every bar of them was met."""
    chosen = _arguments()
    before = look()
    print(f"machine: {description()}\nbefore:  {before}", flush=True)
    if before.busy and not chosen.force:
        print("The machine is busy, so times would say little. Wait, or run with --force.", file=sys.stderr)
        return 2
    # Asked to end, it ends what it started, as on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found: dict[str, Any] = {"machine": description(), "before": str(before), "forced": chosen.force}
    runs = _runs(chosen)
    for part in chosen.only:
        print(f"\n{part}", flush=True)
        began = time.monotonic()
        found[part] = _run(runs[part])
        found[part]["part_seconds"] = round(time.monotonic() - began, 1)
        say(part, found[part])
    after = look()
    found["after"] = str(after)
    print(f"\nafter:   {after}\n")
    bars = bars_of(found)
    say_bars(bars)
    if chosen.json:
        written = {**found, "bars": [asdict(one) for one in bars]}
        chosen.json.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0 if all(bar.met for bar in bars) else 1


def _run(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part that breaks off misses its bar; the others go on."""
    try:
        return part()
    except (StreamError, KakouError, RuntimeError, OSError) as error:
        return {"broke_off": f"{type(error).__name__}: {error}"}


def _runs(chosen: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """Each part with its size."""
    quick, work = chosen.quick, chosen.work.resolve()
    records = chosen.records or (60_000 if quick else 1_200_000)
    through = min(records, 12_000 if quick else 180_000)
    return {
        "pipeline": lambda: run_pipeline(work, Question(records, chosen.span, {})),
        "writer": lambda: run_writers(
            work,
            rows=min(records, 40_000 if quick else 400_000),
            jdbc_rows=4_000 if quick else 60_000,
            repeat=1 if quick else 3,
        ),
        "endpoint": lambda: run_pipeline(
            work,
            Question(
                through,
                chosen.span,
                {"ingest_route": "endpoint", "max_offsets_per_trigger": ENDPOINT_BATCH},
            ),
        ),
        "latency": lambda: run_latency(
            work, LATENCY_RATE, seconds=15 if quick else 60, warm_records=10_000 if quick else 100_000
        ),
        "kills": lambda: run_kills(
            work, records=4_000 if quick else 50_000, kills=2 if quick else chosen.kills or 20
        ),
        "soak": lambda: run_soak(work, chosen.soak or (2.0 if quick else SOAK_MINUTES), SOAK_RATE),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-stream", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", type=_parts, help=f"some of {','.join(PARTS)}; default all but the last two"
    )
    parser.add_argument("--kills", type=int, nargs="?", const=20, help="kill -9 the driver so often, too")
    parser.add_argument("--soak", type=float, nargs="?", const=SOAK_MINUTES, help="soak for minutes, too")
    parser.add_argument("--records", type=int, help="preloaded records, default 1,200,000")
    parser.add_argument("--span", type=float, default=SPAN_MINUTES, help="minutes over which passes lie")
    parser.add_argument("--quick", action="store_true", help="small counts, to try it out")
    parser.add_argument("--work", type=Path, default=Path("var/bench-stream"), help="folder for the stores")
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--force", action="store_true", help="run although the machine is busy")
    chosen = parser.parse_args()
    asked = {"kills": chosen.kills, "soak": chosen.soak}
    if chosen.only is None:
        chosen.only = tuple(part for part in PARTS if part not in LONG or asked[part])
    return chosen


def _parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"choose from {','.join(PARTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
