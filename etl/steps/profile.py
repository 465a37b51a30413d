"""What the passes say about each gate, for a person to decide by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

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
            SELECT KKMC, CAST(GCSJ AS DATE) AS day, hour(GCSJ) AS hour, min(XZQHMC) AS district, count(*) AS n
            FROM passes GROUP BY 1, 2, 3
        )
        SELECT KKMC, min(district), sum(n)::BIGINT, min(day), max(day),
            list_sort(list(DISTINCT day)), [{by_hour}]
        FROM cells GROUP BY KKMC ORDER BY 3 DESC, 1""",
    ).fetchall()
    return [
        SpellingStats(spelling, district, passes, first, last, tuple(days), tuple(hours))
        for spelling, district, passes, first, last, days, hours in rows
    ]


def statistics_text(stats: Sequence[SpellingStats], gates: Mapping[str, Gate]) -> str:
    """The text of ``kkmc_statistics.txt``: a table of gates, then what a person must decide."""
    by_gate: dict[str, list[SpellingStats]] = {}
    for one in stats:
        by_gate.setdefault(gates[one.spelling].kkmc, []).append(one)
    total = sum(one.passes for one in stats) or 1
    days = sorted({day for one in stats for day in one.days})
    lines = [
        "KKMC statistics · 卡口统计",
        f"passes {total} · spellings {len(stats)} · gates {len(by_gate)} · days with passes {len(days)}"
        + (f" ({days[0]} … {days[-1]})" if days else ""),
        "",
        f"{'gate':<34}{'passes':>10}{'share':>8}  {'first':<10}  {'last':<10}  {'days':>4}  "
        "silent hours  missing days",
    ]
    for code, group in sorted(by_gate.items(), key=lambda item: (-sum(s.passes for s in item[1]), item[0])):
        passes = sum(one.passes for one in group)
        own = sorted({day for one in group for day in one.days})
        hours = [sum(one.hours[h] for one in group) for h in range(24)]
        silent = ",".join(str(h) for h in range(24) if not hours[h]) or "-"
        lines.append(
            f"{code:<34}{passes:>10}{passes / total:>8.2%}  {own[0]}  {own[-1]}  {len(own):>4}  "
            f"{silent:<12}  {_ranges(set(days) - set(own))}"
        )
        lines += [f"    {one.passes:>10}  {one.district}  {one.spelling}" for one in group]
    gaps = _ranges(_between(days) - set(days))
    lines += ["", f"Days between the first and the last without any pass: {gaps}", "", "To decide:"]
    proposed = [gate for gate in {gate.kkmc: gate for gate in gates.values()}.values() if gate.proposed]
    for gate in sorted(proposed, key=lambda gate: gate.kkmc):
        hint = f"; looks like {gate.looks_like}, but was not merged" if gate.looks_like else ""
        lines.append(f"- unknown gate {gate.name}: proposed codename {gate.kkmc}{hint}")
    several = [code for code, group in sorted(by_gate.items()) if len(group) > 1]
    lines += [f"- {code} has {len(by_gate[code])} spellings, taken as one gate" for code in several]
    if not proposed and not several:
        lines.append("- nothing")
    return "\n".join(lines) + "\n"


def _between(days: Sequence[date]) -> set[date]:
    return {days[0] + timedelta(n) for n in range((days[-1] - days[0]).days)} if days else set()


def _ranges(days: Iterable[date]) -> str:
    """``2023-12-18..2023-12-23, 2024-01-13``, ``-`` for none.

    >>> _ranges([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 5)])
    '2024-01-01..2024-01-02, 2024-01-05'
    """
    parts: list[list[date]] = []
    for day in sorted(days):
        if parts and day - parts[-1][-1] == timedelta(1):
            parts[-1].append(day)
        else:
            parts.append([day])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}..{p[-1]}" for p in parts) or "-"
