"""What the passes say about each gate, for a person to decide by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from unicodedata import east_asian_width

from duckdb import DuckDBPyRelation

from etl.registry import Gate


@dataclass(frozen=True, slots=True)
class SpellingStats:
    """Passes under one spelling; ``days`` are the days with at least one pass, ``hours`` the passes per hour
    of day."""

    spelling: str
    district: str
    passes: int
    first: date
    last: date
    days: tuple[date, ...]
    hours: tuple[int, ...]


def spelling_stats(passes: DuckDBPyRelation) -> list[SpellingStats]:
    """Counts the merged passes by spelling, largest first."""
    by_hour = ", ".join(f"coalesce(sum(n) FILTER (WHERE hour = {h}), 0)::BIGINT" for h in range(24))
    rows = passes.query(
        "passes",
        f"""WITH cells AS (
            SELECT KKMC, XZQHMC, CAST(GCSJ AS DATE) AS day, hour(GCSJ) AS hour, count(*) AS n
            FROM passes GROUP BY ALL
        ),
        named AS (SELECT KKMC, XZQHMC, sum(n) AS n FROM cells GROUP BY ALL),
        -- The most frequent one, as the standardising step takes it.
        districts AS (
            SELECT KKMC, first(XZQHMC ORDER BY XZQHMC = '', n DESC, XZQHMC) AS district
            FROM named GROUP BY KKMC
        )
        SELECT KKMC, any_value(district), sum(n)::BIGINT, min(day), max(day),
            list_sort(list(DISTINCT day)), [{by_hour}]
        FROM cells JOIN districts USING (KKMC) GROUP BY KKMC ORDER BY 3 DESC, 1""",
    ).fetchall()
    return [
        SpellingStats(spelling, district, passes, first, last, tuple(days), tuple(hours))
        for spelling, district, passes, first, last, days, hours in rows
    ]


def statistics_text(stats: Sequence[SpellingStats], gates: Mapping[str, Gate]) -> str:
    """The text of ``kkmc_statistics.txt``: a table of gates with their spellings, then what a person must
    decide.

    Columns stand below each other in any font whose Chinese characters are two cells wide.
    """
    by_gate: dict[str, list[SpellingStats]] = {}
    for one in stats:
        by_gate.setdefault(gates[one.spelling].kkmc, []).append(one)
    total = sum(one.passes for one in stats) or 1
    days = sorted({day for one in stats for day in one.days})
    lines = [
        "KKMC statistics · 卡口统计",
        f"passes 过车 {sum(one.passes for one in stats)} · gates 卡口 {len(by_gate)} · "
        f"spellings 写法 {len(stats)} · days with passes 有数据日 {len(days)}"
        + (f" ({days[0]} … {days[-1]})" if days else ""),
        f"days without any pass 缺失日: {ranges(_between(days) - set(days))}",
        "",
        *_table(_rows(by_gate, days, total)),
        "",
        "spellings of each gate · 各卡口的写法",
        "",
        *_table(_spellings(by_gate)),
        "",
        "To decide: 待确认",
        *(_to_decide(by_gate, gates) or ["- nothing · 无"]),
    ]
    return "\n".join(lines) + "\n"


Row = tuple[str, ...]


def _ordered(by_gate: Mapping[str, list[SpellingStats]]) -> list[tuple[str, list[SpellingStats]]]:
    return sorted(by_gate.items(), key=lambda item: (-sum(one.passes for one in item[1]), item[0]))


def _rows(by_gate: Mapping[str, list[SpellingStats]], days: Sequence[date], total: int) -> list[Row]:
    rows: list[Row] = [
        (
            "gate 卡口",
            "passes>",
            "share>",
            "first 首日",
            "last 末日",
            "days>",
            "silent hours 无车时段",
            "missing days 缺日",
        )
    ]
    for code, group in _ordered(by_gate):
        passes = sum(one.passes for one in group)
        own = {day for one in group for day in one.days}
        silent = [h for h in range(24) if not any(one.hours[h] for one in group)]
        # Days that no gate has are told once above the table.
        gaps = ranges(set(days) - own)
        rows.append(
            (
                code,
                str(passes),
                f"{passes / total:.2%}",
                str(min(own)),
                str(max(own)),
                str(len(own)),
                _hours(silent),
                gaps,
            )
        )
    return rows


def _spellings(by_gate: Mapping[str, list[SpellingStats]]) -> list[Row]:
    rows: list[Row] = [
        ("gate 卡口", "passes>", "first 首日", "last 末日", "days>", "district 行政区", "spelling 写法")
    ]
    for code, group in _ordered(by_gate):
        for one in group:
            facts = (str(one.passes), str(one.first), str(one.last), str(len(one.days)))
            rows.append((code, *facts, one.district or "-", one.spelling))
    return rows


def _to_decide(by_gate: Mapping[str, list[SpellingStats]], gates: Mapping[str, Gate]) -> list[str]:
    lines = []
    for gate in sorted(
        {gate.kkmc: gate for gate in gates.values() if gate.proposed}.values(), key=lambda g: g.kkmc
    ):
        hint = f"; looks like {gate.looks_like}, but was not merged" if gate.looks_like else ""
        lines.append(f"- unknown gate {gate.name}: proposed codename {gate.kkmc}{hint}")
    several = [code for code, group in sorted(by_gate.items()) if len(group) > 1]
    return lines + [f"- {code} has {len(by_gate[code])} spellings, taken as one gate" for code in several]


def _table(rows: Sequence[Row]) -> list[str]:
    """Aligned lines; a column whose title ends in ``>`` holds numbers and stands to the right."""
    right = [title.endswith(">") for title in rows[0]]
    rows = [tuple(title.rstrip(">") for title in rows[0]), *rows[1:]]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for text, width, numbers in zip(row, widths, right, strict=True):
            blank = " " * (width - _width(text))
            cells.append(blank + text if numbers else text + blank)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Cells that a text takes in a terminal: a Chinese character takes two.

    >>> _width("K63 卡口")
    8
    """
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _hours(hours: Sequence[int]) -> str:
    """``0-3, 23``, ``-`` for none.

    >>> _hours([0, 1, 2, 3, 23])
    '0-3, 23'
    """
    return _joined([(h, str(h)) for h in hours], "-")


def _between(days: Sequence[date]) -> set[date]:
    return {days[0] + timedelta(n) for n in range((days[-1] - days[0]).days)} if days else set()


def ranges(days: Iterable[date]) -> str:
    """``2023-12-18..2023-12-23, 2024-01-13``, ``-`` for none.

    >>> ranges([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 5)])
    '2024-01-01..2024-01-02, 2024-01-05'
    """
    return _joined([(day.toordinal(), str(day)) for day in sorted(days)], "..")


def _joined(numbered: Sequence[tuple[int, str]], to: str) -> str:
    parts: list[list[tuple[int, str]]] = []
    for one in numbered:
        if parts and one[0] == parts[-1][-1][0] + 1:
            parts[-1].append(one)
        else:
            parts.append([one])
    return ", ".join(p[0][1] if len(p) == 1 else f"{p[0][1]}{to}{p[-1][1]}" for p in parts) or "-"
