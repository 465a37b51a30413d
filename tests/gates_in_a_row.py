"""A small world made by hand: four gates in a row, 20 minutes apart."""

from __future__ import annotations

import numpy as np
import polars as pl

GATES = ("A", "B", "C", "D")
WAY_S = 1200
DAY_S = 86_400
MORNING = 5 * DAY_S + 5 * 3600
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


def busy_day(dice: np.random.Generator) -> list[Row]:
    """Twelve hours: honest vehicles, twins now and again, misreads, and a clock that jumps."""
    rows: list[Row] = []
    for n in range(60):
        begin = MORNING + int(dice.integers(0, 9 * 3600))
        way = "ABCD" if n % 2 else "DCBA"
        rows += drive(f"苏C{n:03d}0X", begin, way, pace=float(np.exp(dice.normal(0, 0.1))))
    for n in range(3):
        # Two trips of each twin: sometimes one episode, sometimes two.
        for trip in range(2):
            begin = MORNING + int(dice.integers(0, 9 * 3600))
            rows += drive(f"苏CQ{n}777", begin, "ABCD", tag=f"o{trip}")
            rows += drive(f"苏CQ{n}777", begin + int(dice.integers(0, 900)), "DCB", "丰田牌", tag=f"t{trip}")
    for n in range(3):
        begin = MORNING + int(dice.integers(0, 9 * 3600))
        rows += drive(f"苏CW{n}771", begin, "AC", "丰田牌")
        rows += [(f"m{n}", "B", f"苏CW{n}777", begin + WAY_S, "丰田牌")]
        rows += drive(f"苏CW{n}777", begin + WAY_S - 60, "DC")
    jump, ahead = MORNING + int(dice.integers(0, 9 * 3600)), int(dice.integers(300, 1_000))
    return [
        (id_, gate, plate, t + ahead * (gate == "B" and t > jump), make) for id_, gate, plate, t, make in rows
    ]


def days_before(dice: np.random.Generator) -> list[Row]:
    """Two such days before it, of which gates have missed a third: some plates were read once, some never."""
    rows = [(*row[:3], row[3] - back * DAY_S, row[4]) for back in (1, 2) for row in busy_day(dice)]
    return [row for row in rows if dice.random() < 2 / 3]
