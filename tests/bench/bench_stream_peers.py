"""``make bench-stream-peers``: detection beside Spark's own ways, PyFlink, Quix Streams and a plain consumer.

All read the same preloaded topic, each alone, one after another, and must find the same contradictions;
ours also judges each of them. Rates are warm: from a quarter of the records to nearly the last. Environments
of the others are made on the first run, in the work folder. Prints the load of the machine, versions, the
figures of each and a table of the bars. Ends with 1 if a bar is missed, with 2 if the machine is busy
(``--force`` runs all the same).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench_machine import description, look
from bench_report import say_bars
from peer_contest import CONTESTANTS, Question, run_contest
from peer_report import bars_of, head, line_of, parts_of

from kakou.errors import KakouError
from kakou.stack.jars import java_version, require_java

RECORDS, PART = 1_200_000, 240_000
QUICK_RECORDS, QUICK_PART = 60_000, 6_000


def main() -> int:
    """Runs the contestants that were asked for; the exit code says whether every bar was met."""
    chosen = _arguments()
    before = look()
    print(f"machine: {description()}\nbefore:  {before}", flush=True)
    if before.busy and not chosen.force:
        print("The machine is busy, so times would say little. Wait, or run with --force.", file=sys.stderr)
        return 2
    # Asked to end, it ends what it started, as on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print(f"Java {java_version(require_java())}", flush=True)
        found = run_contest(chosen.work.resolve(), _question(chosen), _say)
    except KakouError as error:
        print(f"kakou: {error}", file=sys.stderr)
        return 1
    _say_all(found)
    after = look()
    print(f"\nafter:   {after}\n")
    bars = bars_of(found)
    say_bars(bars)
    if chosen.json:
        written = {
            "machine": description(), "before": str(before), "after": str(after), "forced": chosen.force,
            **found, "bars": [asdict(one) for one in bars],
        }  # fmt: skip
        chosen.json.write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0 if all(bar.met for bar in bars) else 1


def _question(chosen: argparse.Namespace) -> Question:
    records = chosen.records or (QUICK_RECORDS if chosen.quick else RECORDS)
    part = min(records, QUICK_PART if chosen.quick else PART)
    return Question(records, part, chosen.only)


def _say(name: str, one: dict[str, Any]) -> None:
    told = one["broke_off"] if "broke_off" in one else parts_of(one)
    print(f"  {CONTESTANTS[name].label}: {told}", flush=True)


def _say_all(found: dict[str, Any]) -> None:
    print("\n" + head())
    for name, one in found["contestants"].items():
        print(line_of(name, one))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench-stream-peers", description=(__doc__ or "").splitlines()[0])
    every = ",".join(CONTESTANTS)
    parser.add_argument("--only", type=_contestants, default=tuple(CONTESTANTS), help=f"some of {every}")
    parser.add_argument("--records", type=int, help=f"preloaded records, default {RECORDS:,}")
    parser.add_argument("--quick", action="store_true", help="small counts, to try it out")
    parser.add_argument(
        "--work", type=Path, default=Path("var/bench-peers"), help="folder for environments and stores"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--force", action="store_true", help="run although the machine is busy")
    return parser.parse_args()


def _contestants(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if not set(chosen) <= set(CONTESTANTS):
        raise argparse.ArgumentTypeError(f"choose from {','.join(CONTESTANTS)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
