"""The batch steps P1–P5, each a function that Airflow, the command line and the tests call alike.

Every step reads what the earlier one wrote below ``out``, writes its own artefacts under temporary names and
renames them at the end. So a step can be killed and run again, and two runs at once end with the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from etl.io.artefacts import CLEANED, EXPANDED, MERGED, STANDARDISED, open_artefact, write_artefact
from etl.io.atomic import write_json, write_text
from etl.io.engine import engine
from etl.io.parts import Part, list_raw_files, load_part, read_part
from etl.params import EtlParams
from etl.registry import ALIAS_SEPARATOR, Gate, resolve
from etl.report import build_report, copies_of, describe, merge_counts, refused_rows
from etl.steps import clean as cleaning
from etl.steps import expand as expanding
from etl.steps import merge as merging
from etl.steps import profile as profiling
from etl.steps import standardise as standardising
from kakou.errors import BadInputError
from kakou.fields import DIMENSION_COLUMNS

__all__ = [
    "EtlParams", "clean", "expand", "list_raw_files", "merge", "profile", "read_file", "run", "standardise",
]  # fmt: skip

Progress = Callable[[str, int, int], None]
STEPS: Final = ("read", "merge", "profile", "standardise", "clean", "expand")
# Below this many bytes one process reads all files sooner than a second one starts.
POOL_FROM_BYTES: Final = 64 << 20


def read_file(raw: Path, name: str, out: Path, params: EtlParams) -> Part:
    """Reads one raw file into its part; nothing to do if the part is there already.

    A file or row that cannot be understood never raises: it lies under ``out/rejected`` with reason and
    place.
    """
    del params  # reading has no choices yet; the signature is the one of every step
    return read_part(raw, name, out)


def merge(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """All parts → ``merged_data``, sorted by GCSJ then GCXH, each GCXH once. Returns the report's counts.

    Raises:
        RawFolderError: no raw folder, or an empty one.
        BadInputError: no pass at all, or more rows failed than ``params.max_reject_share``.
    """
    parts = [load_part(raw, name, out) or read_part(raw, name, out) for name in list_raw_files(raw)]
    _check_rejects(parts, out, params)
    copies = copies_of(parts)
    # A byte copy holds the same ids as its original, so its rows are duplicates without being looked at.
    read = [(part.name, table) for part in parts if part.name not in copies for table in part.tables]
    with engine(out) as con:
        files = [str(out / "parts" / table) for _, table in read]
        rows = con.sql(
            "SELECT * EXCLUDE (file_index), file_index AS FILE "
            f"FROM (SELECT *, file_index FROM read_parquet({files}))"
        )
        passes = merging.good_passes(rows)
        merging.repeated_ids(passes).create("repeated")
        repeated = (
            con.table("repeated") if con.execute("SELECT count(*) FROM repeated").fetchall()[0][0] else None
        )
        kept = write_artefact(con, merging.merge(passes, repeated, [name for name, _ in read]), out, MERGED)
    counts = merge_counts(parts, kept)
    write_json(out / "steps" / "merge.json", counts)
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
    del params
    with engine(out) as con:
        stats = profiling.spelling_stats(open_artefact(con, out, MERGED))
    gates = resolve((one.spelling, one.district) for one in stats)
    write_text(out / "kkmc_statistics.txt", profiling.statistics_text(stats, gates))
    return {"spellings": len(stats), "gates": len({gate.kkmc for gate in gates.values()})}


def standardise(out: Path, params: EtlParams) -> dict[str, int]:
    """Long names → codenames: ``merged_data_standardized``, ``kkmc_dimension.csv``,
    ``gate_proposals.json``."""
    del params
    with engine(out) as con:
        passes = open_artefact(con, out, MERGED)
        seen: dict[str, str] = {}
        for spelling, district, _ in standardising.spellings(passes).fetchall():
            if not seen.get(spelling):
                seen[spelling] = district
        gates = resolve(seen.items())
        rows = write_artefact(con, standardising.standardise(passes, gates), out, STANDARDISED)
    present = sorted({gate.kkmc: gate for gate in gates.values()}.values(), key=lambda gate: gate.kkmc)
    write_text(out / "kkmc_dimension.csv", _dimension(present))
    proposed = [gate for gate in present if gate.proposed]
    write_json(
        out / "gate_proposals.json",
        [
            {"KKMC": g.kkmc, "NAME": g.name, "XZQHMC": g.xzqhmc, "looks_like": g.looks_like or None}
            for g in proposed
        ],
    )
    return {"rows": rows, "gates": len(present), "proposed": len(proposed)}


def _dimension(gates: Sequence[Gate]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(DIMENSION_COLUMNS)
    for gate in gates:
        place = ("" if gate.lon is None else f"{gate.lon:.6f}", "" if gate.lat is None else f"{gate.lat:.6f}")
        aliases = ALIAS_SEPARATOR.join(gate.aliases)
        writer.writerow(
            [gate.kkmc, gate.name, aliases, gate.xzqhmc, gate.road, gate.stake, gate.boundary, *place]
        )
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
    """Adds the four derived fields → ``master_data_expanded``, and writes ``report.json``, which it
    returns."""
    del params
    with engine(out) as con:
        passes = open_artefact(con, out, CLEANED)
        write_artefact(con, expanding.expand(passes), out, EXPANDED)
        open_artefact(con, out, EXPANDED).create_view("expanded")
        described = describe(con, "expanded")
    merged, imputed = (_step_result(out, name) for name in ("merge", "clean"))
    report = build_report(merged, imputed, described)
    write_json(out / "report.json", report)
    return report


def _step_result(out: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((out / "steps" / f"{name}.json").read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInputError(
            f"{out} lacks the result of step '{name}'; run it, or `kakou etl run`."
        ) from error


def run(raw: Path, out: Path, params: EtlParams, progress: Progress | None = None) -> dict[str, Any]:
    """All steps in their order; returns the report.

    Args:
        progress: called with (step, done, of how many) whenever something is done.
    """
    tell: Progress = progress or (lambda step, done, total: None)
    names = list_raw_files(raw)
    tell("read", 0, len(names))
    _read_all(raw, names, out, params, tell)
    report: dict[str, Any] = {}
    for step, call in (
        ("merge", lambda: merge(raw, out, params)),
        ("profile", lambda: profile(out, params)),
        ("standardise", lambda: standardise(out, params)),
        ("clean", lambda: clean(out, params)),
        ("expand", lambda: expand(out, params)),
    ):
        tell(step, 0, 1)
        report = call()
        tell(step, 1, 1)
    return report


def _read_all(raw: Path, names: Sequence[str], out: Path, params: EtlParams, tell: Progress) -> None:
    workers = min(os.cpu_count() or 1, len(names))
    if workers == 1 or sum((raw / name).stat().st_size for name in names) < POOL_FROM_BYTES:
        for done, name in enumerate(names, start=1):
            read_file(raw, name, out, params)
            tell("read", done, len(names))
        return
    # Decoding is single-threaded, so files are read side by side; a fresh process each, as the engine may
    # not be forked.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        # Largest first, so that no long file is left to the end.
        ordered = sorted(names, key=lambda name: -(raw / name).stat().st_size)
        jobs = pool.map(read_part, [raw] * len(names), ordered, [out] * len(names))
        for done, _ in enumerate(jobs, start=1):
            tell("read", done, len(names))
