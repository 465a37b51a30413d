"""``kakou shard``: where a gate's rows lie."""

from __future__ import annotations

from typing import Annotated

import typer

from kakou.settings import load_settings
from kakou.topology import load_topology

shard = typer.Typer(
    help="分片 · Where rows lie on the nodes, and how they get onto more of them.", no_args_is_help=True
)


@shard.callback()
def _group() -> None:
    """Keeps ``locate`` a subcommand even where ``spark_jobs.reshard_commands`` adds none."""


@shard.command()
def locate(names: Annotated[list[str], typer.Argument(help="Gate codenames.")]) -> None:
    """Print each NAME, a TAB and the node that the ring of this stack gives it.

    Example: kakou shard locate S325_Suining_K63
    """
    ring = load_topology(load_settings().topology_dir).ring
    for name in names:
        typer.echo(f"{name}\t{ring.locate(name)}")
