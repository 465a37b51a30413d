"""The batch steps P1–P5, each a function that Airflow, the command line and the tests call alike.

Every step reads what the earlier one wrote below ``out``, writes its own artefacts under temporary names and
renames them at the end. So a step can be killed and run again, and two runs at once end with the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from etl.counts import merge_counts, read_counts, refused_rows
from etl.gate_file import row_of
from etl.heat_maps import heat_maps
from etl.io.artefacts import (
    CLEANED,
    EXPANDED,
    MERGED,
    STANDARDISED,
    join_artefact,
    open_artefact,
    write_artefact,
    write_csv,
)
from etl.io.days import byte_copies, make_plan, remove_stale_days
from etl.io.days import merge_days as merge_planned_days
from etl.io.engine import engine
from etl.io.parts import Part, list_raw_files, read_part
from etl.io.plan import Plan, load_plan, settled_files
from etl.io.read_folder import all_parts, parts_of_their_own, read_folder
from etl.io.turns import begin, demand_own_folder, turn
from etl.params import EtlParams
from etl.registry import Gate, known_gates, resolve
from etl.report import build_report, facts, seen_passes, traffic_of
from etl.report_html import report_html
from etl.steps import clean as cleaning
from etl.steps import expand as expanding
from etl.steps import profile as profiling
from etl.steps import standardise as standardising
from etl.steps.undecidable import undecidable
from kakou.errors import BadInputError
from kakou.fields import DIMENSION_COLUMNS
from kakou.whole_files import write_json, write_text

__all__ = [
    "EtlParams", "clean", "expand", "list_raw_files", "merge", "merge_days", "plan", "profile", "read_file",
    "run", "standardise",
]  # fmt: skip

Progress = Callable[[str, int, int], None]
STEPS: Final = ("read", "plan", "merge", "profile", "standardise", "clean", "expand")
PROPOSALS: Final = "gate_proposals.json"


def read_file(raw: Path, name: str, out: Path, params: EtlParams) -> Part:
    """Reads one raw file into its part; nothing to do if the part is there already.

    A file or row that cannot be understood never raises: it lies under ``out/rejected`` with reason and
    place.
    """
    del params  # reading has no choices yet; the signature is the one of every step
    return read_part(raw, name, out)


def plan(raw: Path, out: Path, params: EtlParams) -> Plan:
    """Compares all parts: copies, re-stamped days, repeated ids, and which days must be merged.

    Raises:
        RawFolderError: no raw folder, or an empty one.
        BadInputError: no pass at all, or more rows failed than ``params.max_reject_share``.
    """
    parts = all_parts(raw, list_raw_files(raw), out)
    parts = parts_of_their_own(raw, parts, set(byte_copies(parts)), out)
    _check_rejects(parts, out, params)
    made = make_plan(parts, out, (params.first_day, params.last_day))
    write_json(out / "steps" / "read.json", read_counts(parts, made.copies))
    return made


def merge_days(out: Path, days: Sequence[str]) -> int:
    """Merges the days named (ISO) that the plan wants merged; returns their passes. Any worker may do any
    day."""
    return merge_planned_days(out, load_plan(out), days)


def merge(out: Path, params: EtlParams) -> dict[str, Any]:
    """The planned days in order → ``merged_data``, sorted by GCSJ then GCXH, each GCXH once.

    Returns:
        the report's counts of reading and merging.

    Raises:
        BadInputError: there is no plan, or what was read is not what is there now.
    """
    del params
    planned = load_plan(out)
    if not planned.days:
        raise BadInputError(f"No pass lies between first and last day, and {out} holds no other day.")
    merge_days(out, planned.to_merge)
    with engine(out) as con:
        kept = join_artefact(con, settled_files(out, planned.days), out, MERGED)
    counts = merge_counts(_step_result(out, "read"), planned, kept)
    write_json(out / "steps" / "merge.json", counts)
    remove_stale_days(out, planned)
    return counts


def _check_rejects(parts: Sequence[Part], out: Path, params: EtlParams) -> None:
    good, refused = sum(part.rows for part in parts), refused_rows(parts)
    if not good:
        raise BadInputError(
            f"No file of the raw folder holds a pass; the reasons are under {out / 'rejected'}."
        )
    if refused > params.max_reject_share * (good + refused):
        raise BadInputError(
            f"{refused} of {good + refused} rows could not be understood, more than the share "
            f"{params.max_reject_share:g} that is allowed; the reasons are under {out / 'rejected'}."
        )


def profile(out: Path, params: EtlParams) -> dict[str, int]:
    """Counts gates and spellings → ``kkmc_statistics.txt``."""
    with engine(out) as con:
        stats = profiling.spelling_stats(open_artefact(con, out, MERGED))
    seen = ((one.spelling, one.district) for one in stats)
    gates = resolve(seen, known_gates(params.gate_registry))
    write_text(out / "kkmc_statistics.txt", profiling.statistics_text(stats, gates))
    return {"spellings": len(stats), "gates": len({gate.kkmc for gate in gates.values()})}


def standardise(out: Path, params: EtlParams) -> dict[str, int]:
    """Long names → codenames: ``merged_data_standardized``, ``kkmc_dimension.csv``,
    ``gate_proposals.json``."""
    with engine(out) as con:
        passes = open_artefact(con, out, MERGED)
        seen: dict[str, str] = {}
        for spelling, district, _ in standardising.spellings(passes).fetchall():
            if not seen.get(spelling):
                seen[spelling] = district
        gates = resolve(seen.items(), known_gates(params.gate_registry))
        rows = write_artefact(con, standardising.standardise(passes, gates), out, STANDARDISED)
    present = sorted({gate.kkmc: gate for gate in gates.values()}.values(), key=lambda gate: gate.kkmc)
    write_text(out / "kkmc_dimension.csv", _dimension(present))
    proposed = [gate for gate in present if gate.proposed]
    write_json(
        out / PROPOSALS,
        [
            {"KKMC": g.kkmc, "NAME": g.name, "XZQHMC": g.xzqhmc, "looks_like": g.looks_like or None}
            for g in proposed
        ],
    )
    return {"rows": rows, "gates": len(present), "proposed": len(proposed)}


def _dimension(gates: Sequence[Gate]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, DIMENSION_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row_of(gate) for gate in gates)
    return text.getvalue()


def clean(out: Path, params: EtlParams) -> dict[str, Any]:
    """Fills what is nearly certain, replicates days if asked → ``master_data_cleaned``."""
    with engine(out) as con:
        open_artefact(con, out, STANDARDISED).create_view("standardised")
        passes, measured = cleaning.clean(con, "standardised", params)
        rows = write_artefact(con, passes, out, CLEANED)
    imputed = {field: asdict(one) for field, one in measured.items()}
    write_json(out / "steps" / "clean.json", imputed)
    return {"rows": rows, "imputed": imputed}


def expand(out: Path, params: EtlParams) -> dict[str, Any]:
    """Adds the four derived fields → ``master_data_expanded``; writes ``report.json``, which it returns,
    ``report.html``, ``kkmc_statistics.svg`` and ``plates_undecidable.csv``."""
    del params
    merged, imputed = (_step_result(out, name) for name in ("merge", "clean"))
    with engine(out) as con:
        passes = open_artefact(con, out, CLEANED)
        write_artefact(con, expanding.expand(passes), out, EXPANDED)
        open_artefact(con, out, EXPANDED).create_view("expanded")
        seen = seen_passes(con, "expanded")
        write_csv(undecidable(con.table("plate_census")), out / "plates_undecidable.csv")
    proposals = json.loads((out / PROPOSALS).read_text(encoding="utf-8"))
    report = build_report(merged, imputed, facts(seen, merged["restamped"]), len(proposals))
    picture = heat_maps(traffic_of(seen, report))
    write_text(out / "kkmc_statistics.svg", picture)
    write_text(out / "report.html", report_html(report, picture, proposals))
    write_json(out / "report.json", report)
    return report


def _step_result(out: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((out / "steps" / f"{name}.json").read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInputError(
            f"{out} lacks the result of step '{name}'; run it, or `kakou etl run`."
        ) from error


def run(
    raw: Path,
    out: Path,
    params: EtlParams,
    progress: Progress | None = None,
    on_wait: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """All steps in their order; returns the report. Another run on ``out`` waits until this one has ended.

    Args:
        progress: called with (step, done, of how many) whenever something is done.
        on_wait: called once if another run uses ``out`` and this one waits.
    """
    list_raw_files(raw)  # a wrong folder must not leave an output folder behind
    demand_own_folder(raw, out)
    with turn(out, on_wait):
        begin(raw, out, params)
        return _run(raw, out, params, progress or (lambda step, done, total: None))


def _run(raw: Path, out: Path, params: EtlParams, tell: Progress) -> dict[str, Any]:
    names = list_raw_files(raw)
    tell("read", 0, len(names))
    read_folder(raw, names, out, lambda done: tell("read", done, len(names)))
    report: Mapping[str, Any] = {}
    for step, call in (
        ("plan", lambda: asdict(plan(raw, out, params))),
        ("merge", lambda: merge(out, params)),
        ("profile", lambda: profile(out, params)),
        ("standardise", lambda: standardise(out, params)),
        ("clean", lambda: clean(out, params)),
        ("expand", lambda: expand(out, params)),
    ):
        tell(step, 0, 1)
        report = call()
        tell(step, 1, 1)
    return dict(report)
