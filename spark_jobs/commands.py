"""``kakou flow``: train, measure and use the flow model from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from kakou.settings import load_settings

flow = typer.Typer(
    name="flow",
    no_args_is_help=True,
    help="流量预测 · Flow model: train it, measure it, forecast with it.",
)
_Counts = Annotated[Path, typer.Option("--counts", help="CSV kkmc,hour,count; a missing hour is unknown.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    with Console(stderr=True).status("starting Spark …") as status:
        yield lambda what: status.update(f"{what} …")


@flow.command()
def train(
    passes: Annotated[
        Path | None, typer.Option("--passes", help="Parquet of expanded passes; default: the batch's output.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Train on observed passes, log to MLflow, choose the champion, publish forecasts.

    Needs MLflow and dn1 of the running stack (`kakou up`).

    Examples:

      kakou flow train

      kakou flow train --passes var/clean/master_data_expanded.parquet --json
    """
    from spark_jobs.nightly import default_passes, only_training
    from spark_jobs.train_flow import train_flow

    settings = load_settings()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with only_training(settings), _progress() as tell:
        result = asdict(train_flow(settings, passes or default_passes(settings), tell))
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    figures = result["metrics"]
    role = "champion" if result["promoted"] else "challenger"
    typer.echo(f"version {result['version']} is {role}: {result['reason']}")
    typer.echo(
        f"held-back days: MAE {figures['mae']:.2f} (baseline {figures['baseline_mae']:.2f}), "
        f"wMAPE {figures['wmape']:.1%}, coverage {figures['coverage']:.1%} of 90 %"
    )
    typer.echo(f"{result['forecasts']} forecasts of {result['model_version']} published to flow_forecast")


@flow.command()
def backtest(
    counts: _Counts,
    out: Annotated[Path, typer.Option("--out", help="Where the JSON report goes.")],
) -> None:
    """Fit on the first days of a file of counts, measure on its last days, beside the baseline.

    Example:

      kakou flow backtest --counts counts.csv --out report.json
    """
    from spark_jobs.flow_files import backtest as run

    with _progress() as tell:
        report = run(load_settings(), counts, out, tell)
    for name in ("model", "baseline"):
        typer.echo(name.ljust(9) + "  ".join(f"{key} {value:.3f}" for key, value in report[name].items()))


@flow.command()
def forecast(
    counts: _Counts,
    horizon: Annotated[int, typer.Option("--horizon", help="Hours after the last one to forecast.")],
    out: Annotated[Path, typer.Option("--out", help="Where kkmc,hour,low,mid,high goes.")],
) -> None:
    """Forecast each gate for the hours after the last one in a file of counts.

    Example:

      kakou flow forecast --counts counts.csv --horizon 24 --out forecast.csv
    """
    from spark_jobs.flow_files import forecast as run

    with _progress() as tell:
        rows, made_by = run(load_settings(), counts, horizon, out, tell)
    typer.echo(f"{rows} hours by the {made_by} written to {out}")
