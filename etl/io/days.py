"""Edge: which parts hold which day, and one file for each day that needs merging.

A day that one part holds alone is taken from it as it lies there. Only a day that several parts share, or
that has repeated ids or copied rows, is merged into a file of its own, named by the digest of all that it is
made of; so it is made once, by any worker, and again only if something of that changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import duckdb

from etl.io.engine import PARQUET, engine
from etl.io.parts import Part
from etl.io.plan import Day, Plan, Source, begun, digest_of, load_plan, raw_files, settled_files
from etl.io.repeats import content_copies, counted, digests_by_day, left_out_rows, write_left_out
from etl.steps.merge import one_day, passes_of
from etl.steps.origin import Restamped, copied_rows, restamped_days
from etl.steps.sql_text import literal
from kakou.errors import BadInputError
from kakou.whole_files import draft_of, write_json

Wanted = tuple[date | None, date | None]  # first and last day to build, None for no bound


def make_plan(parts: Sequence[Part], out: Path, wanted: Wanted = (None, None)) -> Plan:
    """Finds copies, re-stamped days and repeated ids over all parts and writes ``steps/plan.json``.

    Days outside ``wanted`` keep what an earlier run made of them.
    """
    copies = byte_copies(parts)
    used = [part for part in parts if part.name not in copies]
    restamped = restamped_days(
        {
            (part.name + table.sheet, date.fromisoformat(day)): note.as_sketch()
            for part in used
            for table in part.tables
            for day, note in table.days.items()
        }
    )
    fresh, outside = _fresh_days(used, restamped, wanted)
    kept = _earlier_days(out, wanted)
    with engine(out) as con:
        # Settled days first: their rows stay, whatever comes.
        left_out = write_left_out(con, out, settled_files(out, kept) + raw_files(out, fresh.values()))
        duplicates, conflicts = counted(con, out, left_out)
        by_content = content_copies(con, out, left_out, used)
        digests = digests_by_day(con, out, left_out)
    days = [*kept, *(_settled(day, fresh, digests.get(day.day)) for day in fresh.values())]
    plan = Plan(
        days=tuple(sorted(days, key=lambda day: day.day)),
        copies=dict(sorted({**copies, **by_content}.items())),
        restamped=tuple(
            {"file": one.file, "day": str(one.day), "of_day": str(one.of_day), "share": one.share}
            for one in restamped
        ),
        duplicates=duplicates + sum(part.rows for part in parts if part.name in copies),
        conflicts=conflicts,
        outside=outside,
        left_out=left_out,
        partial=wanted != (None, None),
    )
    write_json(out / "steps" / "plan.json", asdict(plan))
    return plan


def byte_copies(parts: Sequence[Part]) -> dict[str, str]:
    """Which file is a byte copy of which: the first of equal ones, by name, counts as the original."""
    first: dict[str, str] = {}
    return {
        part.name: original
        for part in parts
        if (original := first.setdefault(part.sha256, part.name)) != part.name
    }


def _fresh_days(
    parts: Sequence[Part], restamped: Sequence[Restamped], wanted: Wanted
) -> tuple[dict[str, Day], int]:
    """The days to build, in order, and how many rows lie on other days."""
    twins = {(one.file, str(one.day)): tuple(map(str, one.twins)) for one in restamped}
    holders: defaultdict[str, list[tuple[Source, int]]] = defaultdict(list)
    for part in parts:
        for table in part.tables:
            for day, note in table.days.items():
                source = Source(part.name + table.sheet, note.file, min(table.days))
                holders[day].append((source, note.rows))
    days = {}
    for day, held in sorted(holders.items()):
        sources = tuple(sorted((source for source, _ in held), key=begun))
        repeats = tuple((one.name, twins[one.name, day]) for one in sources if (one.name, day) in twins)
        days[day] = Day(day, sum(n for _, n in held), sources, twins=repeats)
    inside = {name: day for name, day in days.items() if _inside(name, wanted)}
    return inside, sum(day.rows for name, day in days.items() if name not in inside)


def _inside(day: str, wanted: tuple[date | None, date | None]) -> bool:
    first, last = wanted
    return (first is None or day >= str(first)) and (last is None or day <= str(last))


def _earlier_days(out: Path, wanted: tuple[date | None, date | None]) -> list[Day]:
    """The days of the run before that this one was not asked to build."""
    if wanted == (None, None) or not (out / "steps" / "plan.json").exists():
        return []
    return [day for day in load_plan(out).days if not _inside(day.day, wanted)]


def _settled(day: Day, fresh: Mapping[str, Day], left_out: Sequence[int] | None) -> Day:
    """Gives the day a file of its own if it needs one."""
    if len(day.sources) == 1 and not day.twins and not left_out:
        return day
    originals = {twin for _, twins in day.twins for twin in twins}
    made_of = [asdict(fresh[name]) for name in sorted({day.day, *originals}) if name in fresh]
    return replace(day, merged=f"{day.day}-{digest_of(made_of, left_out)}.parquet")


def merge_days(out: Path, plan: Plan, names: Sequence[str]) -> int:
    """Merges the days ``names`` (ISO) into their files, where the plan wants one that is not there.

    Any worker may do any day, and a day twice; the bytes are the same.

    Returns:
        passes of these days, duplicates left out.

    Raises:
        BadInputError: a day is not in the plan.
    """
    by_name = {day.day: day for day in plan.days}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise BadInputError(f"The plan of {out} has no day {unknown[0]}; make it anew with the step 'plan'.")
    wanted = [by_name[name] for name in names]
    if not wanted:
        return 0
    with engine(out / "days", joinable=True) as con:
        for day in wanted:
            if day.merged and not (out / "days" / day.merged).exists():
                _merge_day(con, out, plan, day, by_name)
        passes = _passes(settled_files(out, wanted))
        return int(con.execute(f"SELECT count(*) FROM ({passes})").fetchall()[0][0])


def _merge_day(
    con: duckdb.DuckDBPyConnection, out: Path, plan: Plan, day: Day, by_name: Mapping[str, Day]
) -> None:
    left = f"SELECT SOURCE FROM {left_out_rows(out, plan.left_out)}" if plan.left_out else None
    passes = one_day(_passes(raw_files(out, [day])), left, _marked(con, out, day, by_name))
    with draft_of(out / "days" / day.merged) as draft:
        con.execute(f"COPY ({passes}) TO {literal(str(draft))} {PARQUET}")


def _passes(files: Sequence[Path]) -> str:
    return passes_of([str(file) for file in files])


def _marked(con: duckdb.DuckDBPyConnection, out: Path, day: Day, by_name: Mapping[str, Day]) -> str | None:
    """Notes the day's rows that have their twin on an earlier day; SQL of them, None if none is expected."""
    if not day.twins:
        return None
    con.execute("CREATE OR REPLACE TEMP TABLE marked (SOURCE VARCHAR)")
    by_source = {source.name: source for source in day.sources}
    for name, twins in day.twins:
        repeats = _passes([out / "parts" / by_source[name].file])
        con.execute(f"CREATE OR REPLACE TEMP VIEW repeats AS SELECT * EXCLUDE (ORIGIN) FROM ({repeats})")
        originals = raw_files(out, [by_name[twin] for twin in twins if twin in by_name])
        if originals:
            con.execute(f"CREATE OR REPLACE TEMP VIEW originals AS {_passes(originals)}")
            con.execute(
                f"INSERT INTO marked SELECT SOURCE FROM ({copied_rows('repeats', 'originals')}) "
                "WHERE ORIGIN = 'copied'"
            )
    return "SELECT SOURCE FROM marked"


def remove_stale_days(out: Path, plan: Plan) -> None:
    """Removes merged days that the plan no longer names; call it once the plan's own are all there."""
    wanted = {day.merged for day in plan.days} | {plan.left_out}
    for path in (out / "days").glob("*.parquet"):
        if path.name not in wanted and not path.name.startswith("."):
            path.unlink(missing_ok=True)
