"""``kakou ledger``: the proof that nothing was lost and nothing doubled."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kakou.errors import BadInputError
from kakou.settings import load_settings
from spark_jobs.reading_bars import bars

if TYPE_CHECKING:
    from spark_jobs.ledger.evidence import Ledger

ledger = typer.Typer(help="The proof that nothing was lost and nothing doubled.", no_args_is_help=True)


@ledger.callback()
def _group() -> None:
    """Keeps ``check`` a subcommand although it is the only one."""


@ledger.command()
def check(
    producer_log: Annotated[
        Path | None,
        typer.Option(help="JSON lines of every attempt: id, status ok|failed|unknown, partition, offset."),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(min=0, help="Most seconds to wait for the stream to handle what the topic holds now."),
    ] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ledger as JSON.")] = False,
) -> None:
    """Hold every offset of the topic against its fate on the nodes, in the archive and among the rejected.

    May run beside the stream. Exit code 1 unless everything balances.

    Examples:

      kakou ledger check

      kakou ledger check --producer-log attempts.jsonl --wait 60 --json
    """
    from spark_jobs.ledger.check import read_ledger

    if not math.isfinite(wait):
        raise BadInputError(f"--wait {wait} is no number of seconds. Name one, such as 60.")
    with bars(quiet=as_json) as tell:
        found = read_ledger(load_settings(), wait, producer_log, tell)
    if as_json:
        typer.echo(json.dumps(_as_contract(found), ensure_ascii=False))
    else:
        _print(found)
    if not found.balanced:
        raise typer.Exit(1)


def _as_contract(found: Ledger) -> dict[str, Any]:
    return {
        "balanced": found.balanced,
        "partitions": [asdict(one) for one in found.partitions],
        "lost": found.lost,
        "doubled": found.doubled,
        "unexpected": found.unexpected,
        "behind": found.behind,
        "laws": [
            {"law": one.law, "held": one.held, "count": one.count, "words": one.words} for one in found.laws
        ],
    }


def _print(found: Ledger) -> None:
    console = Console()
    columns = ("partition", "start", "end", "stored", "rejected", "duplicate", "gaps")
    table = Table(*columns, title="ledger")
    for one in found.partitions:
        table.add_row(*(f"{value:,}" for value in asdict(one).values()))
    console.print(table)
    for law in found.laws:
        verdict = "holds " if law.held else "BROKEN"
        typer.echo(f"{law.law:<5} {verdict} {law.words}")
    typer.echo(_summary(found))


def _summary(found: Ledger) -> str:
    """The last line. What waits is no loss: its law holds as soon as the stream has handled it."""
    lost = found.lost - found.behind
    words = f"lost {lost:,}, doubled {found.doubled:,}, unexpected {found.unexpected:,}"
    if found.balanced:
        return f"balanced: {words}"
    if not found.behind:
        return f"NOT balanced: {words}"
    waits = f"{found.behind:,} wait for the stream (`kakou stream status`; --wait waits longer)"
    return f"NOT balanced yet: {waits}; {words}"
