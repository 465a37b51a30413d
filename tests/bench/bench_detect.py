"""``make bench-detect``: what detection finds on labelled worlds, beside the usual rules on the same passes.

Each world has its own roads, traffic, cameras and clocks (``kakou raw generate --world``). Ours is what
``kakou detect replay`` writes. A plate counts as called when its verdict is ``cloned_plate``; precision is
over all called plates, recall over the decidable ones, calibration over what was called. Ends with 1 if a bar
is missed, with 2 if the machine is busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from bench_machine import description, look
from bench_report import Bar, say_bars
from detect_live import live

from etl.generate.world.write import make_world, write_world
from kakou.geography import great_circle_km
from kakou.plates import WHOLE_PLATE_PATTERN

F1_MEAN, F1_WORST, PRECISION, CALIBRATION, REPLAY_S = 0.9, 0.85, 0.95, 0.05, 60.0
WINDOW_S = 7200
RULES = {"5 minutes, another gate": None, "110 km/h": 110.0, "140 km/h": 140.0, "200 km/h": 200.0}


def main() -> int:
    """Runs the worlds; the exit code says whether every bar was met."""
    parser = argparse.ArgumentParser(prog="bench-detect", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="1,2,3,4,5", help="worlds")
    parser.add_argument("--passes", type=int, default=150_000, help="of the judged day")
    parser.add_argument("--days", type=int, default=8, help="with the judged one; the others are history")
    parser.add_argument("--work", type=Path, default=Path("var/bench-detect"), help="folder for the worlds")
    parser.add_argument(
        "--live", action="store_true", help="also what is told while passes come, a minute each"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file too")
    parser.add_argument("--force", action="store_true", help="run although the machine is busy")
    chosen = parser.parse_args()
    before = look()
    print(f"machine: {description()}\nbefore:  {before}", flush=True)
    if before.busy and not chosen.force:
        print("The machine is busy, so times would say little. Wait, or run with --force.", file=sys.stderr)
        return 2
    worlds = []
    for seed in (int(one) for one in chosen.seeds.split(",")):
        worlds.append(_world(chosen.work / f"{chosen.passes}-{chosen.days}-{seed}", seed, chosen))
        _say(worlds[-1])
    masked = _masked(chosen.work / "masked")
    bars = _bars(worlds, masked)
    print(f"\nafter:   {look()}\n")
    say_bars(bars)
    if chosen.json:
        found = {"machine": description(), "before": str(before), "worlds": worlds, "masked": masked,
                 "bars": [asdict(bar) for bar in bars]}  # fmt: skip
        chosen.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0 if all(bar.met for bar in bars) else 1


def _world(folder: Path, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    sizes = write_world(folder, make_world(seed, passes=chosen.passes, days=chosen.days))
    began = time.monotonic()
    alerts, _ = _replay(folder)
    seconds = time.monotonic() - began
    truth = pl.read_csv(folder / "truth_plates.csv")
    called = {one["hphm"]: one["confidence"] for one in alerts if one["verdict"] == "cloned_plate"}
    ours = scores(set(called), truth) | {"calibration": calibration(called, truth), "seconds": seconds}
    passes, gates = pl.read_csv(folder / "passes.csv", infer_schema=False), pl.read_csv(folder / "gates.csv")
    usual = {name: scores(usual_rule(passes, gates, kmh), truth) for name, kmh in RULES.items()}
    found = {"seed": seed, **sizes, "ours": ours, "usual": usual}
    return found | {"live": _told_live(folder, truth)} if chosen.live else found


def _told_live(folder: Path, truth: pl.DataFrame) -> dict[str, Any]:
    """Scores of the plates that the stream ever called, and of those that it calls in the end."""
    told = live(folder)
    return {"ever": scores(told.ever, truth), "last": scores(told.last, truth), "withdrawn": told.withdrawn}


def _masked(folder: Path) -> dict[str, int]:
    sizes = write_world(folder, make_world(99, passes=20_000, days=2, masked=True))
    alerts, counts = _replay(folder)
    cloned = sum(one["verdict"] == "cloned_plate" for one in alerts)
    return {"passes": sizes["passes"], "withheld": counts["withheld"], "cloned_plate": cloned}


def _replay(folder: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    out = folder / "alerts.jsonl"
    done = subprocess.run(
        [
            sys.executable, "-m", "kakou.cli", "detect", "replay", "--passes", str(folder / "passes.csv"),
            "--gates", str(folder / "gates.csv"), "--history", str(folder / "history.csv"), "--out", str(out),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()], json.loads(
        done.stdout.splitlines()[-1]
    )


def scores(called: set[str], truth: pl.DataFrame) -> dict[str, float]:
    """Precision over what was called, recall over the decidable clones, and F1 of the two."""
    cloned = set(truth.filter("cloned")["plate"])
    decidable = set(truth.filter("decidable")["plate"])
    precision = len(called & cloned) / len(called) if called else 0.0
    recall = len(called & decidable) / len(decidable) if decidable else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"called": len(called), "precision": precision, "recall": recall, "f1": f1}


def calibration(called: dict[str, float], truth: pl.DataFrame) -> float:
    """Expected calibration error: mean over ten steps of confidence of |confidence - share that is right|."""
    cloned = set(truth.filter("cloned")["plate"])
    sure = np.array(list(called.values()))
    right = np.array([plate in cloned for plate in called], dtype=float)
    step = np.minimum((sure * 10).astype(int), 9)
    return float(
        sum(
            (step == n).mean() * abs(sure[step == n].mean() - right[step == n].mean())
            for n in np.unique(step)
        )
    )


def usual_rule(passes: pl.DataFrame, gates: pl.DataFrame, kmh: float | None) -> set[str]:
    """Plates that a usual rule calls cloned: five minutes and another gate, or faster than ``kmh`` in a
    straight line."""
    place = {row["KKMC"]: (row["LON"], row["LAT"]) for row in gates.to_dicts()}
    rows = (
        passes.filter(pl.col("HPHM").str.contains(WHOLE_PLATE_PATTERN)).unique("GCXH")
        .select("HPHM", "KKMC", pl.col("GCSJ").str.to_datetime().dt.epoch("s").alias("t"))
        .sort("HPHM", "t")
    )  # fmt: skip
    pairs = rows.with_columns(pl.all().shift().name.suffix("_b")).filter(
        pl.col("HPHM") == pl.col("HPHM_b"), pl.col("KKMC") != pl.col("KKMC_b")
    )
    gap = (pairs["t"] - pairs["t_b"]).to_numpy()
    if kmh is None:
        hit = gap < 300
    else:
        here, there = (
            np.array([place[gate] for gate in pairs[name]], dtype=float) for name in ("KKMC", "KKMC_b")
        )
        km = great_circle_km(here[:, 0], here[:, 1], there[:, 0], there[:, 1])
        hit = (gap <= WINDOW_S) & (km > kmh * np.maximum(gap, 1) / 3600)
    return set(pairs.filter(pl.Series(hit))["HPHM"])


def _say(world: dict[str, Any]) -> None:
    ours = world["ours"]
    print(
        f"\nworld {world['seed']}: {world['passes']:,} passes, {world['history']:,} of history, "
        f"{world['gates']} gates, "
        f"{world['plates']:,} plates, {world['cloned']} cloned, {world['decidable']} decidable; "
        f"replay {ours['seconds']:.1f} s, calibration error {ours['calibration']:.3f}"
    )
    told = world.get("live", {"withdrawn": 0})
    lines = {"ours": ours, **world["usual"]}
    lines |= {f"ours, live, {name}": told[name] for name in ("ever", "last") if name in told}
    for name, one in lines.items():
        print(
            f"  {name:<26}called {one['called']:>7,}   precision {one['precision']:.3f}   "
            f"recall {one['recall']:.3f}   F1 {one['f1']:.3f}",
            flush=True,
        )
    if "ever" in told:
        print(f"  taken back while passes came: {told['withdrawn']}", flush=True)


def _bars(worlds: list[dict[str, Any]], masked: dict[str, int]) -> list[Bar]:
    f1 = [world["ours"]["f1"] for world in worlds]
    precision = statistics.mean(world["ours"]["precision"] for world in worlds)
    off = statistics.mean(world["ours"]["calibration"] for world in worlds)
    seconds = max(world["ours"]["seconds"] for world in worlds)
    usual = max(statistics.mean(world["usual"][name]["f1"] for world in worlds) for name in RULES)
    held = masked["cloned_plate"] == 0 and masked["withheld"] == masked["passes"]
    return [
        Bar("F1, mean of the worlds", f">= {F1_MEAN}",
            f"{statistics.mean(f1):.3f} (best usual rule {usual:.3f})", statistics.mean(f1) >= F1_MEAN),
        Bar("F1, worst world", f">= {F1_WORST}", f"{min(f1):.3f}", min(f1) >= F1_WORST),
        Bar("precision, mean", f">= {PRECISION}", f"{precision:.3f}", precision >= PRECISION),
        Bar("calibration error, mean", f"<= {CALIBRATION}", f"{off:.3f}", off <= CALIBRATION),
        Bar("replay of a world", f"<= {REPLAY_S:g} s", f"{seconds:.1f} s at most", seconds <= REPLAY_S),
        Bar("masked plates", "none called",
            f"{masked['cloned_plate']} called, {masked['withheld']:,} withheld", held),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
