"""``kakou raw``, ``kakou etl``, ``kakou simulate`` and ``kakou ship``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kakou.settings import load_settings

raw = typer.Typer(help="Raw folders of passes.", no_args_is_help=True)
etl = typer.Typer(help="From raw files to clean passes.", no_args_is_help=True)


@raw.callback()
def _raw_group() -> None:
    """Keeps ``generate`` a subcommand although it is the only one."""


@etl.callback()
def _etl_group() -> None:
    """Keeps ``run`` a subcommand although it is the only one."""


@contextmanager
def _bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """One bar for each step that reports, on stderr so that stdout stays clean."""
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def tell(step: str, done: int, total: int) -> None:
            task = (
                tasks.setdefault(step, bars.add_task(step, total=total)) if step not in tasks else tasks[step]
            )
            bars.update(task, completed=done, total=total)

        yield tell


@raw.command()
def generate(
    out: Annotated[Path, typer.Option(help="Folder to write to; made if it is missing.")],
    days: Annotated[int, typer.Option(help="Days that hold passes.")] = 14,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    masked: Annotated[
        bool, typer.Option("--masked", help="Cut every plate to 4 characters and ***.")
    ] = False,
    scale: Annotated[
        float, typer.Option(help="Amount of traffic; 1 is the real one, 14,000 passes a day.")
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Write a raw folder like the real export: its files, dialects, shares and faults.

    Example: kakou raw generate --out raw --days 14 --seed 1
    """
    from etl.generate.raw_folder import generate_raw

    with _bars(as_json) as tell:
        written = generate_raw(
            out, days=days, seed=seed, masked=masked, scale=scale,
            progress=lambda done, total: tell("files", done, total),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(written))
    else:
        typer.echo(f"{out}: {written['files']} files, {written['rows']} rows, {written['vehicles']} vehicles")


@etl.command()
def run(
    raw_dir: Annotated[Path, typer.Option("--raw", help="Folder with YYYYMM/ folders of CSV and XLSX.")],
    out: Annotated[Path | None, typer.Option(help="Where the artefacts go; default <var>/clean.")] = None,
    replicate: Annotated[
        str | None,
        typer.Option(help="Copy days onto missing days, like 12-17:18-21; marked, off by default."),
    ] = None,
    confidence: Annotated[float, typer.Option(help="A model fills a field only if it is this sure.")] = 0.9,
    max_reject_share: Annotated[float, typer.Option(help="Stop if more rows than this share fail.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Merge, profile, standardise, clean and expand a raw folder (P1-P5). A rerun gives the same bytes.

    Example: kakou etl run --raw raw --out clean --replicate 12-17:18-21
    """
    from etl import pipeline

    target = out or load_settings().clean_dir
    params = pipeline.EtlParams(replicate, confidence, max_reject_share)
    with _bars(as_json) as tell:
        report = pipeline.run(raw_dir, target, params, tell)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        Console().print(_summary(report))
        typer.echo(f"artefacts, report.json and kkmc_statistics.txt are in {target}")


def _summary(report: dict[str, Any]) -> Table:
    table = Table("what", "count", title="ETL")
    refused = sum(n for reason, n in report["rejected"].items() if not reason.startswith("file_"))
    rows = {
        "rows read": report["rows_read"],
        "kept": report["rows_kept"],
        "duplicates": report["rows_duplicate"],
        "rows refused": refused,
        "files": len(report["files"]),
        "byte copies": sum(bool(file["copy_of"]) for file in report["files"]),
        "days (partial)": f"{len(report['days'])} ({sum(day['partial'] for day in report['days'])})",
        "observed share": f"{report['observed_share']:.1%}",
        **{f"plates {kind}": n for kind, n in report["plates"].items()},
    }
    for field, one in report["imputed"].items():
        measured = "not measured" if one["accuracy"] is None else f"{one['accuracy']:.1%} right where sure"
        rows[f"{field} filled"] = f"{one['share']:.1%} of rows, {measured}"
    for what, count in rows.items():
        table.add_row(what, str(count))
    return table
