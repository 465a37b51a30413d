"""Edge: the rows of every gate that moves: onto the new nodes, proven equal, and off the old ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.topology import Topology
from sql.reshard_journal import Journal
from sql.reshard_plan import Plan, rows_on_nodes
from sql.reshard_rows import Table, copy_gate, delete_copied, delete_gate, digest, look_up, open_writer

Tell = Callable[[str, int, int], None]


class _Servers:
    """One writer's cursor for each node that is asked for."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._cursors: dict[str, Any] = {}

    def __getitem__(self, node: str) -> Any:
        if node not in self._cursors:
            server = self._stack.enter_context(open_writer(self._settings, node))
            self._cursors[node] = self._stack.enter_context(server.cursor())
        return self._cursors[node]


def copy_moves(settings: Settings, after: Topology, plan: Plan, tell: Tell) -> int:
    """Makes each new node hold exactly the rows of its gates, and proves it; what is equal is not copied.

    Args:
        after: the topology that comes.

    Returns:
        rows that were written.

    Raises:
        StorageError: rows change while they are copied.
    """
    done = copied = 0
    total = sum(plan.rows(table, moving=True) for table in after.sharded)
    with ExitStack() as stack:
        servers = _Servers(settings, stack)
        _clear(settings, after, plan, servers)
        for one in plan.moves:
            for name in after.sharded:
                table = look_up(servers[one.old], name, after.column)
                copied += _bring(servers[one.old], servers[one.new], table, one.gate)
                done += one.rows.get(name, 0)
            tell("copy", done, total)
    return copied


def delete_moved(settings: Settings, topology: Topology, journal: Journal, tell: Tell) -> int:
    """Deletes on the old nodes what the new ones hold; returns how many rows.

    Raises:
        StorageError: the new node of a gate lacks rows; they stay.
    """
    gone = 0
    with ExitStack() as stack:
        servers = _Servers(settings, stack)
        gates = [(node, gate) for node in journal.old_nodes for gate in journal.moved_from(node)]
        for number, (node, gate) in enumerate(gates):
            tell("delete", number, len(gates))
            new = topology.ring.locate(gate)
            for name in topology.sharded:
                table = look_up(servers[node], name, topology.column)
                deleted, left = delete_copied(servers[node], servers[new], table, gate)
                gone += deleted
                if left:
                    raise StorageError(
                        f"{left} rows of gate {gate} are on {node} and not on {new}; they were kept. Look "
                        "for a writer that does not know the new topology."
                    )
    return gone


def _clear(settings: Settings, after: Topology, plan: Plan, servers: _Servers) -> None:
    """Removes from the new nodes what an abandoned re-shard left there and no longer belongs."""
    fresh = tuple(node for node in after.nodes if node.name not in plan.old_nodes)
    here = {(one.new, one.gate) for one in plan.moves}
    for (node, name, gate), rows in rows_on_nodes(settings, after, fresh).items():
        if rows and (node, gate) not in here:
            delete_gate(servers[node], look_up(servers[node], name, after.column), gate)


def _bring(source: Any, target: Any, table: Table, gate: str) -> int:
    wanted = digest(source, table, gate)
    if digest(target, table, gate) == wanted:
        return 0
    copied = copy_gate(source, target, table, gate)
    if digest(target, table, gate) != wanted:
        # Rows of an earlier run that the old node has lost since: archived and deleted meanwhile.
        delete_gate(target, table, gate)
        copied = copy_gate(source, target, table, gate)
    if digest(source, table, gate) != wanted or digest(target, table, gate) != wanted:
        raise StorageError(
            f"Rows of gate {gate} in {table.name} changed while they were copied. Stop every writer, then "
            "run the command again."
        )
    return copied
