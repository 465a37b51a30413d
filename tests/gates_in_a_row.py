"""A small world made by hand: four gates in a row, 20 minutes apart."""

from __future__ import annotations

import numpy as np
import polars as pl

GATES = ("A", "B", "C", "D")
WAY_S = 1200
DAY_S = 86_400
Row = tuple[str, str, str, int, str]
REGISTRY = pl.DataFrame(
    {
        "kkmc": GATES,
        "name": [f"{gate}卡口" for gate in GATES],
        "lon": [117.0, 117.3, 117.6, 117.9],
        "lat": [34.3] * 4,
    }
)
COLUMNS = {"gcxh": pl.String, "kkmc": pl.String, "hphm": pl.String, "t": pl.Int64, "clppxh": pl.String}


def drive(
    plate: str, start: int, way: str = "ABCD", make: str = "大众牌", pace: float = 1.0, tag: str = ""
) -> list[Row]:
    """One trip over the gates of ``way``, next to each other or not."""
    first = GATES.index(way[0])
    return [
        (
            f"{plate}{tag}{start}{gate}",
            gate,
            plate,
            start + round(abs(GATES.index(gate) - first) * WAY_S * pace),
            make,
        )
        for gate in way
    ]


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").with_columns(pl.lit("02").alias("hpzl"))


def honest(days: int, seed: int = 1) -> list[Row]:
    """Three hundred vehicles there and back on each day, at their own pace."""
    rng = np.random.default_rng(seed)
    rows = []
    for day in range(days):
        for number in range(300):
            pace = float(np.exp(rng.normal(0, 0.1)))
            begin = day * DAY_S + 6 * 3600 + int(rng.integers(0, 10 * 3600))
            plate = f"苏C{number:03d}{number % 7}X"
            rows += drive(plate, begin, "ABCD", pace=pace)
            rows += drive(plate, begin + 4 * 3600 + 1800, "DCBA", pace=pace)
    return rows
