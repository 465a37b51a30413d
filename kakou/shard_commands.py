"""``kakou shard``: where a gate's rows lie."""

from __future__ import annotations

from typing import Annotated

import typer

from kakou.settings import load_settings
from kakou.topology import load_topology

shard = typer.Typer(help="Where rows lie on the nodes.", no_args_is_help=True)


@shard.callback()
def _group() -> None:
    """Keeps ``locate`` a subcommand although it is the only one."""


@shard.command()
def locate(names: Annotated[list[str], typer.Argument(help="Gate codenames.")]) -> None:
    """Print each NAME, a TAB and the node that the ring of mycat_conf/ gives it.

    Example: kakou shard locate S325_Suining_K63
    """
    ring = load_topology(load_settings().topology_dir).ring
    for name in names:
        typer.echo(f"{name}\t{ring.locate(name)}")
