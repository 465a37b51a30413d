"""The commands that look after the local stack. They are thin: each calls one function."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from kakou.settings import load_settings

_JSON = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="Only these services; all where none is named.")
    ] = None,
) -> None:
    """Start the local stack, or what of it is not running, and wait until each service answers.

    Examples:  kakou up   ·   kakou up kafka redis
    """
    from kakou.stack.lifecycle import up as start

    start(load_settings(), set(services) if services else None)


def down() -> None:
    """Stop every service of the local stack and leave no process.

    Example:  kakou down
    """
    from kakou.stack.lifecycle import down as stop

    console = Console(stderr=True)
    with console.status("Stopping every service …"):
        stop(load_settings())
    console.print("Every service is stopped.")


def status(as_json: _JSON = False) -> None:
    """Show each service: state, pid, port, uptime, health. Exit code 1 unless every service is healthy.

    Examples:  kakou status   ·   kakou status --json
    """
    from kakou.stack.status import service_rows

    rows = service_rows(load_settings())
    if as_json:
        typer.echo(json.dumps([row.to_dict() for row in rows], ensure_ascii=False))
    else:
        table = Table("service", "state", "pid", "port", "uptime", "health", box=None, header_style="bold")
        colours = {"healthy": "green", "stopped": "dim"}
        for row in rows:
            colour = colours.get(row.health, "red")
            table.add_row(
                row.service,
                row.state,
                str(row.pid or ""),
                " ".join(str(port) for port in row.ports),
                row.uptime,
                f"[{colour}]{row.health}[/{colour}]",
            )
        Console().print(table)
        if not any(row.pid for row in rows):
            typer.echo("Nothing runs. `kakou up` starts everything.")
    raise typer.Exit(0 if all(row.health == "healthy" for row in rows) else 1)


def logs(
    name: Annotated[str, typer.Argument(help="Service, as `kakou status` names it, or supervisord.")],
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines.")] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on printing what is added.")] = False,
) -> None:
    """Print the end of a service's log.

    Examples:  kakou logs stream   ·   kakou logs kafka -n 200   ·   kakou logs api -f
    """
    from kakou.stack.logs import follow_log, tail

    settings = load_settings()
    for line in tail(settings, name, lines):
        typer.echo(line)
    if follow:
        for line in follow_log(settings, name, lambda: time.sleep(0.5)):
            typer.echo(line)


def doctor(as_json: _JSON = False) -> None:
    """Name what is missing on this machine and how to mend it. Exit code 1 if something is missing.

    Examples:  kakou doctor   ·   kakou doctor --json
    """
    from kakou.stack.doctor import examine

    found = examine(load_settings())
    if as_json:
        typer.echo(json.dumps([one.to_dict() for one in found], ensure_ascii=False))
    else:
        table = Table("", "what", "found", "mend", box=None, header_style="bold")
        for one in found:
            table.add_row("[green]ok[/green]" if one.ok else "[red]no[/red]", one.what, one.found, one.mend)
        Console().print(table)
    raise typer.Exit(0 if all(one.ok for one in found) else 1)


def run(
    raw: Annotated[
        Path | None,
        typer.Option("--raw", help="Folder of raw files; without it a realistic one is generated."),
    ] = None,
    seconds: Annotated[int, typer.Option(min=10, help="Length of the replay.")] = 60,
    clones: Annotated[int, typer.Option(min=0, help="Planted clones.")] = 3,
) -> None:
    """Do the main job once through: batch, models, replay with planted clones; the stack stays up.

    Examples:  kakou run   ·   kakou run --raw exports/ --seconds 120 --clones 5
    """
    from kakou.stack.interrupts import stop_signals_interrupt
    from kakou.stack.run import run_everything

    with stop_signals_interrupt():
        run_everything(load_settings(), raw, seconds, clones)
