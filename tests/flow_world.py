"""A small road for tests of the flow model: three gates of known hourly flow, and passes drawn from it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

GATES = ("A", "B", "C")
FIRST_DAY = date(2024, 3, 1)  # no statutory holiday in March


def true_flow(gate: str, day: date, hour: int) -> float:
    """Expected passes: another level at each gate, a morning peak on workdays, a noon peak at weekends."""
    level = {"A": 4.0, "B": 12.0, "C": 30.0}[gate]
    peak = 13 if day.weekday() >= 5 else 8
    return level * (0.3 + 1.2 * float(np.exp(-((hour - peak) ** 2) / 18)))


def counts(days: int, seed: int = 1, first: date = FIRST_DAY) -> pd.DataFrame:
    """Known hours ``kkmc, day, hour, count`` of whole days."""
    rng = np.random.default_rng(seed)
    rows = [
        (gate, day, hour, int(rng.poisson(true_flow(gate, day, hour))))
        for gate in GATES
        for day in (first + timedelta(days=n) for n in range(days))
        for hour in range(24)
    ]
    return pd.DataFrame(rows, columns=["kkmc", "day", "hour", "count"])


def passes(known: pd.DataFrame, origin: str = "observed", seed: int = 2) -> pd.DataFrame:
    """Passes with those counts, spread evenly over each hour, columns as in the batch's Parquet."""
    rng = np.random.default_rng(seed)
    rows = []
    for gate, day, hour, count in known[["kkmc", "day", "hour", "count"]].itertuples(index=False):
        start = datetime(day.year, day.month, day.day, hour)
        step = 3600 / count if count else 0
        for n in range(count):
            plate = f"苏C{rng.integers(0, 100_000):05d}"
            rows.append((f"G{len(rows)}", gate, plate, start + timedelta(seconds=int(n * step)), origin))
    frame = pd.DataFrame(rows, columns=["GCXH", "KKMC", "HPHM", "GCSJ", "ORIGIN"])
    return frame.assign(GCSJ=frame["GCSJ"].astype("datetime64[us]"))


def passes_file(folder: Path, known: pd.DataFrame, name: str = "passes.parquet") -> Path:
    path = folder / name
    passes(known).to_parquet(path, index=False)
    return path


def counts_file(folder: Path, known: pd.DataFrame) -> Path:
    """The same as a CSV ``kkmc,hour,count``."""
    at = [f"{day} {hour:02d}:00:00" for day, hour in zip(known["day"], known["hour"], strict=True)]
    path = folder / "counts.csv"
    pd.DataFrame({"kkmc": known["kkmc"], "hour": at, "count": known["count"]}).to_csv(path, index=False)
    return path
