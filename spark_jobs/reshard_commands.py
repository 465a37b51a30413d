"""``kakou shard plan | move | abandon``: more nodes. They live here because a move ends with the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kakou.settings import Settings, load_settings
from kakou.shard_commands import shard

if TYPE_CHECKING:
    from sql.reshard import Moved
    from sql.reshard_plan import Plan

_CATCH_UP_S: Final = 120
_Nodes = Annotated[int, typer.Option("--nodes", min=2, help="How many nodes there are to be.")]
_WORDS: Final = {
    "stop": "stopping the stream",
    "start": "starting the new nodes",
    "copy": "copying and comparing",
    "switch": "switching",
    "delete": "deleting what moved",
    "finish": "tidying up",
}


@shard.command()
def plan(
    nodes: _Nodes, as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False
) -> None:
    """Show what would move if the stack had more nodes; changes nothing.

    Exit code 1 if the move would be refused: rows lie where they do not belong, or a gate would move between
    nodes that are there already.

    Examples:

      kakou shard plan --nodes 3

      kakou shard plan --nodes 3 --json
    """
    from sql.reshard_plan import read_plan

    found = read_plan(load_settings(), nodes)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _show(found)
    raise typer.Exit(0 if found.only_to_new and not found.strays else 1)


@shard.command()
def move(
    nodes: _Nodes,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    check: Annotated[bool, typer.Option(help="End with a ledger check.")] = True,
) -> None:
    """Add nodes and move to them what the ring gives them; readers go on meanwhile.

    Shows the plan, asks, moves, and ends with a ledger check: exit code 1 unless it balances. The stream is
    stopped while rows are copied; records wait in Kafka. If it is killed, run it again: it goes on.

    Examples:

      kakou shard move --nodes 3

      kakou shard move --nodes 3 --yes
    """
    from sql.reshard import move as run
    from sql.reshard_journal import read_journal
    from sql.reshard_plan import read_plan

    settings = load_settings()
    if read_journal(settings) is not None:
        typer.echo("A re-shard was begun and has not ended; it goes on.")
    elif not _is_there(settings, nodes):
        _show(read_plan(settings, nodes))
    if not yes and not typer.confirm("Move them now?"):
        raise typer.Exit(1)
    with _progress() as tell:
        moved = run(settings, nodes, tell)
    _tell(settings, moved)
    if check:
        _end_with_ledger(settings)


@shard.command()
def abandon() -> None:
    """Give up a move that has not come to its switch; nothing has changed for anybody then.

    Example: kakou shard abandon
    """
    from sql.reshard import abandon as run

    run(load_settings())
    typer.echo("Given up. The new nodes are stopped; their folders below var/data may be removed.")


def _is_there(settings: Settings, nodes: int) -> bool:
    from kakou.connections import node_names

    return len(node_names(settings)) == nodes


def _show(found: Plan) -> None:
    console = Console()
    table = Table("gate", "from", "to", "rows", "hours", box=None, header_style="bold")
    for one in found.moves:
        counts = (f"{one.rows.get(name, 0):,}" for name in ("traffic_data", "flow_hourly"))
        table.add_row(one.gate, one.old, one.new, *counts)
    console.print(table)
    every, moving = found.rows("traffic_data"), found.rows("traffic_data", moving=True)
    typer.echo(
        f"{', '.join(found.old_nodes)} -> {', '.join(found.new_nodes)}: {len(found.moves)} of "
        f"{len(found.gates)} gates ({_share(len(found.moves), len(found.gates))}) move, with {moving:,} of "
        f"{every:,} passes ({_share(moving, every)}); the new nodes own {found.ring_share:.1%} of the ring"
    )
    typer.echo(
        "every gate that there may be stays or goes to a new node"
        if found.only_to_new
        else "gates would move between nodes that are there already"
    )
    for (node, gate), rows in found.strays.items():
        typer.echo(f"misplaced: {rows:,} rows of {gate} on {node}")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {name: bars.add_task(words, total=None, visible=False) for name, words in _WORDS.items()}

        def tell(phase: str, done: int, total: int) -> None:
            if phase in tasks:
                bars.update(tasks[phase], completed=done, total=total or None, visible=True)

        yield tell


def _tell(settings: Settings, moved: Moved) -> None:
    if not moved.seconds:
        typer.echo(f"The stack has {len(moved.nodes)} nodes already.")
        return
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in moved.seconds.items())
    typer.echo(
        f"{moved.gates} gates moved: {moved.copied:,} rows written, {moved.deleted:,} deleted ({spent})"
    )
    if moved.mycat:
        typer.echo(
            f"Now let MyCat read {settings.topology_dir}: copy it into its conf/, fill in the passwords, and "
            "say `reload @@config_all` at its port 9066. Until then it does not show what moved."
        )
    else:
        typer.echo(
            f"through 8066 no row was missing or double; readers waited {moved.reader_wait_s * 1000:.0f} ms"
        )
    if moved.stream_paused_s is not None:
        typer.echo(f"the stream was stopped for {moved.stream_paused_s:.1f} s; its records waited in Kafka")


def _end_with_ledger(settings: Settings) -> None:
    from kakou.stack.supervision import STOPPED, Supervisor
    from spark_jobs.ledger.check import read_ledger

    state = Supervisor(settings).states().get("stream")
    runs = state is not None and state.state not in STOPPED
    with Console(stderr=True).status("waiting until the stream has caught up, checking the ledger …"):
        ledger = read_ledger(settings, _CATCH_UP_S if runs else 0)
    for law in ledger.laws:
        if not law.held:
            typer.echo(f"{law.law} does not hold: {law.words}")
    typer.echo(
        f"ledger: {'balanced' if ledger.balanced else 'not balanced'}, lost {ledger.lost}, "
        f"doubled {ledger.doubled}, unexpected {ledger.unexpected}"
    )
    raise typer.Exit(0 if ledger.balanced else 1)
