"""``report.json``: what was read, what was kept, what is observed and what a model or a person made."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from etl.heat_maps import Traffic
from etl.steps.silences import LEAST_DAYS, Counts, Silence, missing_hours, silent_gates
from etl.steps.undecidable import census, class_counts, kind_counts
from kakou.fields import ORIGINS, TIME_FORMAT

IntArray = NDArray[np.int64]

# A day with less than this share of the median day is partial, though passes may come at every hour.
LEAST_SHARE_OF_MEDIAN: Final = 0.35
# Where too few days are there to compare with, a day that lacks more hours than this is partial.
MOST_SILENT_HOURS: Final = 4
# A day of which less than this was observed says nothing about its gates.
LEAST_OBSERVED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Seen:
    """The finished passes, counted.

    Attributes:
        gates, days: sorted; every one holds at least one pass.
        observed: observed passes, shape (gates, days, 24).
        passes: all of them, copied and replicated ones too; same shape.
        by_origin: passes of each day by ORIGIN, in the order of ``ORIGINS``, shape (days, 3).
        plates: passes by class of plate.
    """

    gates: tuple[str, ...]
    days: tuple[date, ...]
    observed: IntArray
    passes: IntArray
    by_origin: IntArray
    plates: Mapping[str, int]


def seen_passes(con: DuckDBPyConnection, expanded: str) -> Seen:
    """Counts a view or table of finished passes: about 0.2 s of processor time for a million rows.

    Leaves the table ``plate_census``, of which ``undecidable`` makes its list.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE cells AS SELECT KKMC, CAST(GCSJ AS DATE) AS day, hour(GCSJ) AS hour, "
        f"ORIGIN, count(*) AS n FROM {expanded} GROUP BY ALL"
    )
    gates = [name for (name,) in con.execute("SELECT DISTINCT KKMC FROM cells ORDER BY 1").fetchall()]
    days = [day for (day,) in con.execute("SELECT DISTINCT day FROM cells ORDER BY 1").fetchall()]
    # Ranks instead of names, as numpy can only count by number.
    cells = con.execute(
        "SELECT dense_rank() OVER (ORDER BY KKMC) - 1 AS gate, dense_rank() OVER (ORDER BY day) - 1 AS day, "
        f"hour, list_position({list(ORIGINS)}, ORIGIN) - 1 AS origin, n FROM cells"
    ).fetchnumpy()
    gate, day, hour, origin, n = (np.asarray(cells[name]) for name in ("gate", "day", "hour", "origin", "n"))
    counts = np.zeros((2, len(gates), len(days), 24), dtype=np.int64)
    by_origin = np.zeros((len(days), len(ORIGINS)), dtype=np.int64)
    np.add.at(counts[1], (gate, day, hour), n)
    mine = origin == ORIGINS.index("observed")
    np.add.at(counts[0], (gate[mine], day[mine], hour[mine]), n[mine])
    np.add.at(by_origin, (day, origin), n)
    census(con.table(expanded)).create("plate_census")
    plates = class_counts(con.table("plate_census"))
    return Seen(tuple(gates), tuple(days), counts[0], counts[1], by_origin, plates)


def facts(seen: Seen, restamped: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The report's facts about the finished passes.

    Args:
        restamped: days that repeat an earlier one: ``file``, ``day``, ``of_day``, ``share``.
    """
    total = int(seen.by_origin.sum())
    share = seen.by_origin.sum(axis=0) / max(1, total)
    return {
        "days": _days(seen, restamped),
        "observed_share": round(float(share[ORIGINS.index("observed")]), 6),
        "plates": kind_counts(dict(seen.plates)),
        "missing_days": [str(day) for day in missing_days(seen.days)],
        "silent_gates": [_told(one) for one in silent_gates(_counts(seen))],
        "origin": {name: round(float(part), 6) for name, part in zip(ORIGINS, share, strict=True)},
        "plate_classes": dict(seen.plates),
        "gates": len(seen.gates),
    }


def missing_days(days: Sequence[date]) -> list[date]:
    """Days without a pass between the first and the last of ``days``."""
    if not days:
        return []
    held = set(days)
    between = (min(held) + timedelta(n) for n in range((max(held) - min(held)).days))
    return [day for day in between if day not in held]


def _counts(seen: Seen) -> Counts:
    observed = seen.by_origin[:, ORIGINS.index("observed")] / np.maximum(seen.by_origin.sum(axis=1), 1)
    return Counts(seen.gates, seen.days, seen.observed, observed < LEAST_OBSERVED)


def _days(seen: Seen, restamped: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = seen.by_origin.sum(axis=1).tolist()
    usual = statistics.median(rows) if rows else 0
    copied = seen.by_origin[:, ORIGINS.index("copied")].tolist()
    of_day: dict[str, str] = {}
    for one in restamped:
        of_day[one["day"]] = min(one["of_day"], of_day.get(one["day"], one["of_day"]))
    answer = []
    for number, (day, gone) in enumerate(zip(seen.days, missing_hours(_counts(seen)), strict=True)):
        empty = np.flatnonzero(~seen.passes[:, number].any(axis=0)).tolist()
        if len(seen.days) < LEAST_DAYS and len(empty) > MOST_SILENT_HOURS:
            gone = tuple(empty)
        answer.append(
            {
                "day": str(day),
                "rows": rows[number],
                "partial": bool(gone) or rows[number] < LEAST_SHARE_OF_MEDIAN * usual,
                "hours_missing": list(gone),
                "copied_from": of_day.get(str(day)) if copied[number] else None,
                "rows_copied": copied[number],
            }
        )
    return answer


def _told(one: Silence) -> dict[str, Any]:
    begin, end = one.begin.strftime(TIME_FORMAT), one.end.strftime(TIME_FORMAT)
    return {"kkmc": one.kkmc, "from": begin, "to": end, "hours": one.hours, "expected": one.expected}


def build_report(
    merged: Mapping[str, Any],
    imputed: Mapping[str, Any],
    described: Mapping[str, Any],
    proposed_gates: int = 0,
) -> dict[str, Any]:
    """Puts the report together: the contract's keys in the contract's order, then the others.

    Args:
        merged: what ``etl.counts.merge_counts`` gave. described: what ``facts`` gave.
    """
    first = ("rows_read", "rows_kept", "rows_duplicate", "rejected", "files")
    then = ("days", "observed_share", "plates")
    return {
        **{key: merged[key] for key in first},
        "days": described["days"],
        "observed_share": described["observed_share"],
        "imputed": dict(imputed),
        "plates": described["plates"],
        **{key: value for key, value in described.items() if key not in then},
        **{key: value for key, value in merged.items() if key not in first},
        "proposed_gates": proposed_gates,
    }


def traffic_of(seen: Seen, described: Mapping[str, Any]) -> Traffic:
    """What the heat maps show, the gate with most passes first."""
    daily, hourly = seen.passes.sum(axis=2), seen.passes.sum(axis=1)
    order = np.lexsort((np.array(seen.gates), -daily.sum(axis=1)))
    marks = {
        date.fromisoformat(one["day"]): "copied" if one["copied_from"] else "partial"
        for one in described["days"]
        if one["copied_from"] or one["partial"]
    }
    held = set(seen.days)
    silent = frozenset(
        (one["kkmc"], day)
        for one in described["silent_gates"]
        for day in _days_of(one["from"], one["to"])
        if day in held
    )
    gates = tuple(seen.gates[n] for n in order)
    return Traffic(gates, seen.days, daily[order], hourly[order], marks, silent)


def _days_of(begin: str, end: str) -> list[date]:
    first, last = date.fromisoformat(begin[:10]), date.fromisoformat(end[:10])
    # A silence that ends at midnight holds nothing of the day that begins then.
    days = (last - first).days + (0 if end.endswith("00:00:00") and last > first else 1)
    return [first + timedelta(n) for n in range(days)]
