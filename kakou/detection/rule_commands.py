"""``kakou detect rehearse | adopt | rule``: another rule is tried on stored passes before it is in force."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from kakou.errors import BadInputError
from kakou.settings import load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(group: typer.Typer) -> None:
    """Adds the commands to ``kakou detect``."""
    for command in (rehearse, adopt, rule):
        group.command()(command)


def rehearse(
    rule: Annotated[Path, typer.Option(help="TOML of the new rule: version, and what it sets.")],
    against: Annotated[
        Path | None, typer.Option(help="TOML of the old rule; default: the rule in force.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="How many stored days, the newest ones.")] = 7,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day that may be taken.")
    ] = None,
    passes: Annotated[
        Path | None,
        typer.Option(help="File or folder of passes; default: the archive, then the batch output."),
    ] = None,
    gates: Annotated[
        Path | None, typer.Option(help="CSV with KKMC,NAME,XZQHMC,LON,LAT; default: the batch's.")
    ] = None,
    reviews: Annotated[
        Path | None,
        typer.Option(help="JSONL of {plate, at, outcome: confirmed|false}; default: table reviews."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to make; default in <var>/rehearsals.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try a new rule on stored passes: which alerts it would add and remove, and the load per shift.

    Changes nothing that is in force. Writes rehearsal.html, rehearsal.json and a page of evidence for each
    alert added or removed. Precision is told where people reviewed alerts.

    Examples:

      kakou detect rehearse --rule strict.toml

      kakou detect rehearse --rule strict.toml --against former.toml --days 3 --until 2024-01-15 --json
    """
    # Imported here so that `kakou --help` does not wait for polars.
    from kakou.detection.rehearsal.run import PAGE, Asked
    from kakou.detection.rehearsal.run import rehearse as run

    settings = load_settings()
    asked = Asked(rule, against, days, until.date() if until else None, passes, gates, reviews, out)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("passes, judged twice", total=None)
        folder, report = run(
            settings, asked, lambda rows, total: progress.update(task, advance=rows, total=total)
        )
    if as_json:
        typer.echo(json.dumps(report | {"folder": str(folder)}, ensure_ascii=False))
        return
    console = Console()
    console.print(_summary(report))
    for line in _notes(report):
        typer.echo(line)
    typer.echo(str(folder / PAGE))


def adopt(
    rule: Annotated[Path | None, typer.Argument(help="TOML of the rule.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Go back to the rule of the settings.")] = False,
) -> None:
    """Put a rule in force; the running stream takes it without a restart.

    The former rule's file stays beside it, as rule-VERSION-TIME.toml in <var>/models.

    Examples:

      kakou detect adopt strict.toml

      kakou detect adopt --none
    """
    from kakou.detection.rule_changes import adopt_rule, retire_rule

    settings = load_settings()
    if (rule is None) == (not none):
        raise BadInputError("Name the file of a rule, or --none for the rule of the settings.")
    kept = retire_rule(settings) if rule is None else adopt_rule(settings, rule)
    typer.echo(f"In force: {settings.rule_file if rule else 'the rule of the settings'}")
    if kept:
        typer.echo(f"The former one is kept: {kept}")


def rule(as_json: AsJson = False) -> None:
    """Print the rule in force: each key, its value, and where that is from.

    Examples:

      kakou detect rule

      kakou detect rule --json
    """
    from kakou.detection.rule_changes import explain_rule

    found = explain_rule(load_settings())
    if as_json:
        words = {key: {"value": value, "from": origin} for key, (value, origin) in found.items()}
        typer.echo(json.dumps(words))
        return
    table = Table("key", "value", "from", box=None, header_style="bold")
    for key, (value, origin) in found.items():
        table.add_row(key, f"{value:g}" if isinstance(value, float) else str(value), origin)
    Console().print(table)


def _summary(report: dict[str, Any]) -> Table:
    days, counts = report["days"], report["counts"]
    table = Table("", "old", "new", title=f"{days[0]['day']} to {days[-1]['day']}, {len(days)} days")
    for key in ("version", *(key for key in report["differences"] if key != "version")):
        table.add_row(key, *(str(report["rules"][side][key]) for side in ("old", "new")))
    table.add_section()
    table.add_row("cloned plates called", str(counts["old"]), str(counts["new"]))
    table.add_row("  only by this rule", f"{counts['removed']} removed", f"{counts['added']} added")
    table.add_row("  by both", str(counts["kept"]), f"{counts['changed']} surer or less sure")
    table.add_row("busiest shift", *(_busiest(report["busiest"][side]) for side in ("old", "new")))
    table.add_row("precision, 90 % interval", *_precision(report["reviews"]))
    return table


def _busiest(one: dict[str, Any] | None) -> str:
    return f"{one['alerts']} ({one['day']} {one['shift']})" if one else "-"


def _precision(reviews: dict[str, Any]) -> list[str]:
    if not reviews["known"]:
        return ["unknown", "unknown"]
    found = (reviews["precision"][side] for side in ("old", "new"))
    return [
        f"{one['share']:.2f} ({one['low']:.2f}-{one['high']:.2f})"
        if one["share"] is not None
        else "nothing reviewed"
        for one in found
    ]


def _notes(report: dict[str, Any]) -> list[str]:
    """What a reader of the figures has to know."""
    found = []
    for source, words in (("archive", "the archive"), ("batch", "the batch output")):
        if days := [one["day"] for one in report["days"] if one["from"] == source]:
            found.append(f"From {words}: {_few(days)}.")
    if report["missing_days"]:
        found.append(f"Not stored, and so left out: {_few(report['missing_days'])}.")
    if report["knowledge"]["from"] == "passes":
        found.append("Nothing is learned yet, so these passes themselves taught what is usual.")
    if not report["reviews"]["known"]:
        found.append(f"Precision is unknown. {report['reviews']['why']}")
    return found


def _few(days: list[str]) -> str:
    return ", ".join(days) if len(days) <= 3 else f"{len(days)} days, from {days[0]} to {days[-1]}"
