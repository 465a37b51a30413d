"""``kkmc_statistics.svg``: gates x days and hours x gates, for a person to see at a glance what is missing.

Drawn by ourselves and not by a plotting library, whose bytes change with its version and the fonts of the
machine; this picture is the same bytes on every run, a few kilobytes, and follows the reader's dark or light.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from html import escape
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

WIDTH: Final = 1120
LEFT, RIGHT, TOP = 236, 84, 96
BAND: Final = 12  # height of the strip above the days that marks them
TALLEST: Final = 2400
LABEL_PITCH: Final = 11  # labels of rows stand at least so far apart
MOST_DAYS: Final = 1500  # more than this, and days without passes get no column
# A day of a gate against its usual day, and an hour against its busiest hour: upper bounds of the levels.
DAY_LEVELS: Final = (0.25, 0.5, 0.8, 1.25, 2.0)
HOUR_LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
DAY_WORDS: Final = ("≤ 25 %", "≤ 50 %", "≤ 80 %", "≤ 125 %", "≤ 200 %", "> 200 %")
HOUR_WORDS: Final = ("≤ 10 %", "≤ 25 %", "≤ 50 %", "≤ 75 %", "≤ 90 %", "> 90 %")
MARKS: Final = {
    "missing": "missing day · 缺失日",
    "partial": "partial day · 残缺日",
    "copied": "copied from another day · 复制日",
    "silent": "silent gate · 卡口静默",
}

PATTERNS: Final = (
    '<pattern id="kk-missing" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<path class="ink" d="M0 0L6 6M6 0L0 6" stroke-width=".7"/></pattern>'
    '<pattern id="kk-partial" width="4" height="4" patternUnits="userSpaceOnUse">'
    '<path class="ink" d="M0 1H4" stroke-width="1.4"/></pattern>'
    '<pattern id="kk-copied" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<circle class="ink" cx="1.5" cy="1.5" r=".8" stroke="none"/></pattern>'
    '<pattern id="kk-silent" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path class="alarm" d="M-1 1L1 -1M0 5L5 0M4 6L6 4" stroke-width="1.3"/></pattern>'
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the maps show.

    Attributes:
        gates: codenames, in the order of the rows.
        days: the days that hold passes, sorted.
        daily: passes, shape (gates, days).
        hourly: passes by hour of day, shape (gates, 24).
        marks: ``partial`` or ``copied`` days; a day that is not among ``days`` is missing.
        silent: (gate, day) of each silence.
    """

    gates: tuple[str, ...]
    days: tuple[date, ...]
    daily: IntArray
    hourly: IntArray
    marks: Mapping[date, str] = field(default_factory=dict)
    silent: frozenset[tuple[str, date]] = frozenset()


def heat_maps(traffic: Traffic) -> str:
    """The picture as SVG text; the same traffic gives the same bytes."""
    if not traffic.days:
        return f'{_open(60)}<text x="16" y="34">no passes · 无过车记录</text></svg>\n'
    columns = _columns(traffic.days)
    row = _row_height(len(traffic.gates))
    height = row * len(traffic.gates)
    second = TOP + BAND + height + 74
    hours_at = second + 56
    parts = [
        _open(hours_at + height + 40),
        _title(
            28, "Gates × days · 卡口 × 日期",
            "colour: passes against the gate's usual day · 颜色：与该卡口平日的比值",
        ),
        _legend(62, DAY_WORDS, list(MARKS)),
        _day_map(traffic, columns, TOP + BAND, row),
        _title(
            second, "Gates × hours · 卡口 × 小时",
            "colour: passes against the gate's busiest hour · 颜色：与该卡口最忙小时的比值",
        ),
        _legend(second + 26, HOUR_WORDS, []),
        _hour_map(traffic, hours_at, row),
        "</svg>\n",
    ]  # fmt: skip
    return "\n".join(parts)


def _open(height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="kk" role="img" viewBox="0 0 {WIDTH} {height:g}" '
        f'width="100%" style="max-width:{WIDTH}px"><title>KKMC statistics · 卡口统计</title>'
        f"<style>{_style()}</style><defs>{PATTERNS}</defs>"
        f'<rect class="ground" width="{WIDTH}" height="{height:g}"/>'
    )


@cache
def _style() -> str:
    return resources.files("etl").joinpath("data/heat_maps.css").read_text(encoding="utf-8")


def _columns(days: Sequence[date]) -> list[date]:
    span = (days[-1] - days[0]).days + 1
    # One wrong clock that says 2001 must not squeeze everything else into nothing.
    return list(days) if span > MOST_DAYS else [days[0] + timedelta(n) for n in range(span)]


def _row_height(gates: int) -> float:
    return max(3.0, min(18.0, round(TALLEST / max(1, gates), 1)))


def _title(y: float, words: str, note: str) -> str:
    return (
        f'<text class="head" x="16" y="{y:g}">{words}</text>'
        f'<text class="dim" x="{WIDTH - 16}" y="{y:g}" text-anchor="end">{note}</text>'
    )


def _legend(y: float, words: Sequence[str], marks: Sequence[str]) -> str:
    parts = [f'<rect class="blank" x="16" y="{y - 10:g}" width="14" height="12"/>']
    parts.append(f'<text class="dim" x="34" y="{y:g}">0</text>')
    x = 56
    for level, word in enumerate(words):
        parts.append(f'<path class="l{level}" d="M{x} {y - 4:g}h14" stroke-width="12"/>')
        parts.append(f'<text class="dim" x="{x + 18}" y="{y:g}">{escape(word)}</text>')
        x += 70
    for mark in marks:
        x += 4
        parts.append(
            f'<rect class="blank" x="{x}" y="{y - 10:g}" width="14" height="12"/>'
            f'<rect fill="url(#kk-{mark})" x="{x}" y="{y - 10:g}" width="14" height="12"/>'
        )
        parts.append(f'<text class="dim" x="{x + 18}" y="{y:g}">{MARKS[mark]}</text>')
        x += 20 + sum(11 if ord(sign) > 0x2E80 else 6 for sign in MARKS[mark])
    return "".join(parts)


def _day_map(traffic: Traffic, columns: Sequence[date], top: float, row: float) -> str:
    cell = min(30.0, round((WIDTH - LEFT - RIGHT) / len(columns), 3))
    place = {day: number for number, day in enumerate(columns)}
    counts = np.zeros((len(traffic.gates), len(columns)), dtype=np.int64)
    counts[:, [place[day] for day in traffic.days]] = traffic.daily
    usual = np.array([np.median(mine[mine > 0]) if mine.any() else 1 for mine in counts])
    parts = [_cells(counts, usual, DAY_LEVELS, top, cell, row), _rows(traffic, top, row, cell * len(columns))]
    for day in columns:
        mark = traffic.marks.get(day, "") if day in set(traffic.days) else "missing"
        if mark:
            parts.append(_marked_day(mark, LEFT + place[day] * cell, top, max(cell, 2), row * len(counts)))
    line = {gate: number for number, gate in enumerate(traffic.gates)}
    for gate, first, last in _stretches(traffic.silent, place):
        x, y = LEFT + first * cell, top + line[gate] * row
        box = f'x="{x:g}" y="{y:g}" width="{max((last - first) * cell, 3):g}" height="{row:g}"'
        parts.append(f'<rect class="veil" {box}/><rect class="alarm" style="fill:url(#kk-silent)" {box}/>')
    return "".join([*parts, _dates(columns, top - BAND - 4, cell)])


def _stretches(silent: Iterable[tuple[str, date]], place: Mapping[date, int]) -> list[tuple[str, int, int]]:
    """Silent days of a gate, neighbours joined: (gate, first column, column after the last)."""
    joined: list[tuple[str, int, int]] = []
    for gate, day in sorted(silent):
        column = place[day]
        if joined and joined[-1][0] == gate and joined[-1][2] == column:
            joined[-1] = (gate, joined[-1][1], column + 1)
        else:
            joined.append((gate, column, column + 1))
    return joined


def _marked_day(mark: str, x: float, top: float, width: float, height: float) -> str:
    paint = f'fill="url(#kk-{mark})" x="{x:g}" width="{width:g}"'
    answer = f'<rect {paint} y="{top - BAND:g}" height="{BAND - 2}"/>'
    # A partial day keeps its cells as they are; the strip above it is enough.
    return answer if mark == "partial" else answer + f'<rect {paint} y="{top:g}" height="{height:g}"/>'


def _hour_map(traffic: Traffic, top: float, row: float) -> str:
    busiest = np.maximum(traffic.hourly.max(axis=1, initial=0), 1)
    cell = 30.0
    labels = "".join(
        f'<text class="dim" x="{LEFT + (hour + 0.5) * cell:g}" y="{top - 6:g}" text-anchor="middle">'
        f"{hour}</text>"
        for hour in range(24)
    )
    cells = _cells(traffic.hourly, busiest.astype(np.float64), HOUR_LEVELS, top, cell, row)
    return cells + _rows(traffic, top, row, cell * 24) + labels


def _cells(
    counts: IntArray, usual: NDArray[np.float64], bounds: Sequence[float], top: float, cell: float, row: float
) -> str:
    """All cells as one path for each level, in units of cells, neighbours joined: few bytes for many."""
    level = np.searchsorted(np.array(bounds), counts / usual[:, None])
    level = np.where(counts == 0, -1, level)
    paths: list[list[str]] = [[] for _ in range(len(bounds) + 1)]
    for y, line in enumerate(level):
        edges = np.flatnonzero(np.r_[True, line[1:] != line[:-1], True])
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if line[first] >= 0:
                paths[line[first]].append(f"M{first} {y}.5h{last - first}")
    rows, columns = counts.shape
    thick = 1 if row < 6 else 0.92
    drawn = "".join(
        f'<path class="l{n}" stroke-width="{thick}" d="{"".join(path)}"/>'
        for n, path in enumerate(paths)
        if path
    )
    lines = (
        "".join(f"M{LEFT + n * cell:g} {top:g}v{rows * row:g}" for n in range(1, columns)) if cell > 5 else ""
    )
    return (
        f'<rect class="blank" x="{LEFT}" y="{top:g}" width="{columns * cell:g}" height="{rows * row:g}"/>'
        f'<g transform="translate({LEFT} {top:g}) scale({cell:g} {row:g})">{drawn}</g>'
        f'<path class="grid" d="{lines}"/>'
    )


def _rows(traffic: Traffic, top: float, row: float, width: float) -> str:
    every = max(1, -int(-LABEL_PITCH // row))
    size = min(11.0, max(8.0, row * every - 2))
    parts = []
    for number in range(0, len(traffic.gates), every):
        y = top + (number + 0.5) * row + size * 0.36
        name = traffic.gates[number]
        short = name if len(name) <= 38 else name[:37] + "…"
        passes = int(traffic.hourly[number].sum())
        parts.append(f'<text x="{LEFT - 8}" y="{y:g}" text-anchor="end">{escape(short)}</text>')
        parts.append(f'<text class="dim" x="{LEFT + width + 8:g}" y="{y:g}">{passes:,}</text>')
    return f'<g font-size="{size:g}">{"".join(parts)}</g>'


def _dates(columns: Iterable[date], y: float, cell: float) -> str:
    parts, free, year = [], float("-inf"), 0
    for number, day in enumerate(columns):
        x = LEFT + (number + 0.5) * cell
        # Many days: only the first of a month is worth a label.
        if x < free or (cell < 4 and day.day != 1):
            continue
        words = f"{day:%Y-%m-%d}" if day.year != year else f"{day:%m-%d}"
        free, year = x + (70 if day.year != year else 40), day.year
        parts.append(f'<text class="dim" x="{x - min(cell / 2, 6):g}" y="{y:g}">{words}</text>')
    return "".join(parts)
