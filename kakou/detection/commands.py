"""``kakou detect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from kakou.alert import Alert
from kakou.detection.contradictions import Counts
from kakou.settings import load_settings

detect = typer.Typer(help="Find cloned plates.", no_args_is_help=True)


@detect.callback()
def _group() -> None:
    """Find cloned plates."""


@detect.command()
def replay(
    passes: Annotated[Path, typer.Option(help="CSV of the 8 fields, in order of arrival, or Parquet.")],
    gates: Annotated[Path, typer.Option(help="CSV with KKMC,NAME,XZQHMC,LON,LAT.")],
    out: Annotated[Path, typer.Option(help="Alerts, one JSON object per line.")],
    history: Annotated[
        Path | None, typer.Option(help="The same, to learn travel times from; may hold clones too.")
    ] = None,
) -> None:
    """Run the stream's detection over a file.

    The last line of stdout is {"passes": n, "withheld": n, "late": n, "duplicates": n}; a pass that is
    stamped too far in the future is counted as late. Rows whose column ORIGIN says that no gate saw them
    (Parquet artefacts of the batch have it) are left out.

    Examples:

      kakou detect replay --passes day.csv --gates kkmc_dimension.csv --out alerts.jsonl

      kakou detect replay --passes day.csv --gates gates.csv --history month.csv --out alerts.jsonl
    """
    # Imported here so that `kakou --help` does not wait for polars.
    import polars as pl

    from kakou.detection import files
    from kakou.detection.replay import replay as run
    from kakou.detection.rules import build_rules
    from kakou.detection.travel import TRAVEL_SCHEMA, learn

    settings = load_settings()
    known = files.read_gates(gates)
    travel = pl.DataFrame(schema=TRAVEL_SCHEMA)
    if history:
        travel = learn(files.read_passes(history, settings.origins).passes)
    rules = build_rules(known, travel, limits=files.limits_of(settings), fallback_kmh=settings.fallback_kmh)
    read = files.read_passes(passes, settings.origins)

    console = Console(stderr=True)
    alerts: list[Alert] = []
    total = Counts()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("passes", total=len(read.passes))
        for found, counts in run(
            read.passes, rules, settings.timezone, on_progress=lambda n: progress.update(task, advance=n)
        ):
            alerts += found
            total += counts
    alerts.sort(key=lambda one: (one.detected_at, one.alert_id))
    files.write_alerts(out, alerts)
    console.print(f"{len(alerts)} alerts on {len({one.hphm for one in alerts})} plates in {out}")
    if read.unreadable:
        console.print(f"{read.unreadable} rows were left out: their GCSJ is not YYYY-MM-DD HH:MM:SS.")
    if read.made_up:
        console.print(f"{read.made_up} rows were left out: no gate saw them (KAKOU_ORIGINS=all takes them).")
    typer.echo(
        json.dumps(
            {
                "passes": len(read.passes) + read.unreadable,
                "withheld": total.withheld,
                "late": total.late + total.future,
                "duplicates": total.duplicates,
            }
        )
    )
