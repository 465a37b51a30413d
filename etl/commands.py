"""``kakou raw``, ``kakou etl``, ``kakou simulate`` and ``kakou ship``."""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from etl.params import LEAST_SURE, EtlParams
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
    faults: Annotated[
        str,
        typer.Option(
            help="default (those of the real export), all, none or names with commas: restamped_day, "
            "silent_gate, special_plates, blank_lines, copied_file, partial_day, short_plates, quoted_codes."
        ),
    ] = "default",
    world: Annotated[
        bool,
        typer.Option(
            "--world", help="A labelled world instead: history, one judged day, gates, and the truth."
        ),
    ] = False,
    passes: Annotated[int, typer.Option(help="Of a world: about how many the judged day has.")] = 150_000,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the counts and what was planted as JSON.")
    ] = False,
) -> None:
    """Write a raw folder like the real export: its files, dialects, shares and faults.

    Or a labelled world, to measure detection by: history.csv and passes.csv (8 fields, in order of arrival),
    gates.csv, truth_plates.csv (plate, cloned, decidable, same_brand) and truth_passes.csv.

    Examples:

      kakou raw generate --out raw --days 14 --seed 1 --faults default,restamped_day

      kakou raw generate --world --out world --days 7 --seed 1
    """
    from etl.generate.faults import parse_faults
    from etl.generate.raw_folder import generate_raw

    if world:
        from etl.generate.world.write import make_world, write_world

        made = write_world(out, make_world(seed, passes=passes, days=days, masked=masked))
        typer.echo(
            json.dumps(made) if as_json else f"{out}: " + ", ".join(f"{n} {k}" for k, n in made.items())
        )
        return
    with _bars(as_json) as tell:
        written = generate_raw(
            out, days=days, seed=seed, masked=masked, scale=scale, faults=parse_faults(faults),
            progress=lambda done, total: tell("files", done, total),
        )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(written))
    else:
        typer.echo(f"{out}: {written['files']} files, {written['rows']} rows, {written['vehicles']} vehicles")


def _day(text: str) -> Any:
    return typer.Option(help=text, formats=["%Y-%m-%d"])


@etl.command()
def run(
    raw_dir: Annotated[Path, typer.Option("--raw", help="Folder with YYYYMM/ folders of CSV and XLSX.")],
    out: Annotated[Path | None, typer.Option(help="Where the artefacts go; default <var>/clean.")] = None,
    replicate: Annotated[
        str | None,
        typer.Option(help="Copy days onto missing days, like 12-17:18-21; marked, off by default."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="A model fills a field only if it is this sure.")
    ] = LEAST_SURE,
    max_reject_share: Annotated[float, typer.Option(help="Stop if more rows than this share fail.")] = 0.05,
    first_day: Annotated[datetime | None, _day("Build anew only days from here on; others stay.")] = None,
    last_day: Annotated[datetime | None, _day("Build anew only days up to here; others stay.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be read and built.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json.")] = False,
) -> None:
    """Merge, profile, standardise, clean and expand a raw folder (P1-P5). A rerun gives the same bytes.

    A second run on the same output folder waits for the first.

    Examples:

      kakou etl run --raw raw --out clean --replicate 12-17:18-21

      kakou etl run --raw raw --first-day 2024-01-05 --last-day 2024-01-07 --dry-run
    """
    from etl import pipeline

    settings = load_settings()
    target = out or settings.clean_dir
    days = (first_day and first_day.date(), last_day and last_day.date())
    params = pipeline.EtlParams(
        replicate, confidence, max_reject_share, *days, gate_registry=settings.gate_registry_file
    )
    if dry_run:
        return _say_what_would_run(raw_dir, target, params, as_json)

    def on_wait() -> None:
        typer.echo(f"Another run uses {target}; waiting for its end.", err=True)

    with _bars(as_json) as tell:
        report = pipeline.run(raw_dir, target, params, tell, on_wait)
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        Console().print(_summary(report))
        typer.echo(f"artefacts, report.html and kkmc_statistics.txt are in {target}")


def _say_what_would_run(raw_dir: Path, target: Path, params: EtlParams, as_json: bool) -> None:
    from etl.dry_run import in_words, what_would_run

    found = what_would_run(raw_dir, target, params)
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else in_words(found))


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


def _stop_on_signals() -> Callable[[], bool]:
    """True once the process was asked to end; then the loop ends by itself and leaves everything whole."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked.is_set


def simulate(
    rate: Annotated[float, typer.Option(help="Passes per second.")] = 50.0,
    clones: Annotated[int, typer.Option(help="Planted clones, spread over the run.")] = 0,
    seconds: Annotated[float | None, typer.Option(help="How long; without it until stopped.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses whom to clone.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON at the end.")] = False,
) -> None:
    """Replay the clean passes as if they happened now, into the pass log (P6).

    Example: kakou simulate --rate 50 --clones 3 --seconds 60
    """
    from dataclasses import asdict

    from etl.simulate.runner import Simulated, SimulateParams
    from etl.simulate.runner import simulate as run_simulation

    settings, stop = load_settings(), _stop_on_signals()
    params = SimulateParams(rate=rate, clones=clones, seconds=seconds, seed=seed)

    def tell(counts: Simulated) -> None:
        if not as_json:
            typer.echo(
                f"{counts.rows} passes, {counts.planted} clones, {counts.held} held for their way", err=True
            )

    counts = run_simulation(settings, params, stop, tell, lambda words: typer.echo(words, err=True))
    if as_json:
        typer.echo(json.dumps(asdict(counts)))
    else:
        typer.echo(
            f"{counts.rows} passes and {counts.planted} of {clones} clones planted in {settings.sim_dir}"
        )


def ship(
    once: Annotated[bool, typer.Option("--once", help="End when all that is there is acknowledged.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON at the end.")] = False,
) -> None:
    """Carry the pass log into Kafka, each line once, until stopped (P7).

    While Kafka is away, what the log throws away is kept in <var>/ship/spool, up to KAKOU_SPOOL_GB and
    KAKOU_SPOOL_HOURS. How far it is behind stands in <var>/ship/status.json and once a minute in its log.

    Examples:

      kakou ship

      kakou ship --once --json
    """
    from dataclasses import asdict

    from etl.ship.runner import ship as run_shipper

    settings, stop = load_settings(), _stop_on_signals()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    # The library writes several lines a second while a broker is away; the shipper says it in one.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    counts = run_shipper(settings, stop, once=once)
    if as_json:
        typer.echo(json.dumps(asdict(counts)))
    else:
        typer.echo(f"{counts.lines} lines shipped, {counts.known} were there already")
        if counts.dropped_files or counts.cut_bytes or counts.too_large:
            typer.echo(
                f"Not shipped: {counts.dropped_files} files ({counts.dropped_bytes} bytes) beyond the caps "
                f"of the spool, {counts.cut_bytes} bytes truncated unread, {counts.too_large} too large lines"
            )
