"""What a re-shard would move: the rule, and how the nodes are read for it.

A key belongs to the first point of the ring at or above its hash. Nodes that are added only add points, so a
key either keeps its point or gets one of theirs: nothing moves between nodes that were there before.
``only_to_new`` checks that on the points themselves, so for every gate that there may ever be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import pymysql

from kakou.connections import connect
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.sharding import Ring
from kakou.topology import Node, Topology, load_topology
from kakou.topology_versions import coming_topology
from sql.spider import gate_key

_HASHES: Final = 2**32


@dataclass(frozen=True, slots=True)
class GatePlan:
    """A gate, the node that holds it, the node that will, and its rows by table."""

    gate: str
    old: str
    new: str
    rows: Mapping[str, int]

    @property
    def moves(self) -> bool:
        """Whether its rows go to another node."""
        return self.old != self.new


@dataclass(frozen=True, slots=True)
class Plan:
    """What a re-shard does.

    Attributes:
        old_nodes, new_nodes: nodes before and after, in ring order.
        gates: every known gate.
        strays: rows by (node, gate) that lie where the present ring does not put them.
        only_to_new: whether no gate at all can move to a node that was there before.
        ring_share: the part of all hashes that moves.
    """

    old_nodes: tuple[str, ...]
    new_nodes: tuple[str, ...]
    gates: tuple[GatePlan, ...]
    strays: Mapping[tuple[str, str], int]
    only_to_new: bool
    ring_share: float

    @property
    def moves(self) -> tuple[GatePlan, ...]:
        """The gates that move."""
        return tuple(one for one in self.gates if one.moves)

    def rows(self, table: str, *, moving: bool = False) -> int:
        """Rows of ``table``; of all gates, or of those that move."""
        return sum(one.rows.get(table, 0) for one in (self.moves if moving else self.gates))

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``; ``moves`` names every gate that moves."""
        tables = sorted({table for one in self.gates for table in one.rows})
        return {
            "old_nodes": list(self.old_nodes),
            "new_nodes": list(self.new_nodes),
            "only_to_new": self.only_to_new,
            "ring_share": round(self.ring_share, 4),
            "gates": {"all": len(self.gates), "moving": len(self.moves)},
            "rows": {t: {"all": self.rows(t), "moving": self.rows(t, moving=True)} for t in tables},
            "strays": [{"node": node, "gate": gate, "rows": n} for (node, gate), n in self.strays.items()],
            "moves": [asdict(one) for one in self.moves],
        }


def make_plan(before: Ring, after: Ring, rows: Mapping[tuple[str, str, str], int]) -> Plan:
    """The plan.

    Args:
        rows: (node, table, gate) to the number of rows there; 0 for a gate without rows.
    """
    names = _names(gate for _, _, gate in rows)
    by_gate: dict[str, dict[str, int]] = {gate: {} for gate in names.values()}
    strays: dict[tuple[str, str], int] = {}
    for (node, table, gate), count in rows.items():
        name = names[gate_key(gate)]
        if count:
            by_gate[name][table] = by_gate[name].get(table, 0) + count
        if count and before.locate(name) != node:
            strays[node, name] = strays.get((node, name), 0) + count
    gates = [
        GatePlan(gate, before.locate(gate), after.locate(gate), found) for gate, found in by_gate.items()
    ]
    gates.sort(key=lambda one: (one.old, one.gate))
    return Plan(
        before.nodes,
        after.nodes,
        tuple(gates),
        strays,
        only_to_new(before, after),
        moving_share(before, after),
    )


def only_to_new(before: Ring, after: Ring) -> bool:
    """Whether every point of the old ring is in the new one, under the same node or an added one."""
    owner = {point: after.nodes[at] for point, at in zip(after.points, after.owners, strict=True)}
    return after.nodes[: len(before.nodes)] == before.nodes and all(
        owner.get(point) in (before.nodes[at], *after.nodes[len(before.nodes) :])
        for point, at in zip(before.points, before.owners, strict=True)
    )


def moving_share(before: Ring, after: Ring) -> float:
    """The part of all hashes that the added nodes own.

    >>> from kakou.sharding import build_ring
    >>> round(moving_share(build_ring(["dn1"]), build_ring(["dn1", "dn2"])), 2)
    0.46
    """
    old = len(before.nodes)
    owned = 0
    below = after.points[-1] - _HASHES
    for point, owner in zip(after.points, after.owners, strict=True):
        owned += point - below if owner >= old else 0
        below = point
    return owned / _HASHES


def read_plan(settings: Settings, count: int) -> Plan:
    """The plan for ``count`` nodes, from the gates and rows that the nodes hold; changes nothing.

    Raises:
        TopologyError: the topology cannot have ``count`` nodes.
        StorageError: a node is away.
    """
    topology = load_topology(settings.topology_dir)
    after = coming_topology(settings, count).ring
    return make_plan(topology.ring, after, rows_on_nodes(settings, topology))


def rows_on_nodes(
    settings: Settings, topology: Topology, nodes: Iterable[Node] | None = None
) -> dict[tuple[str, str, str], int]:
    """(node, table, gate) to the rows there; gates of ``kkmc_info`` without rows count 0.

    Args:
        nodes: those to ask; all of the topology where none are named.

    Raises:
        StorageError: a node is away.
    """
    column = topology.column
    found: dict[tuple[str, str, str], int] = {}
    for node in topology.nodes if nodes is None else nodes:
        try:
            server = connect(settings, node.name, "kakou_reader", autocommit=True)
            with server, server.cursor() as cursor:
                for table in topology.sharded:
                    cursor.execute(
                        f"SELECT `{column}`, COUNT(*) FROM `{table}` GROUP BY `{column}`"  # noqa: S608
                    )
                    found |= {(node.name, table, str(gate)): int(n) for gate, n in cursor.fetchall()}
                for table in topology.global_:
                    cursor.execute(f"SELECT `{column}` FROM `{table}`")  # noqa: S608 - names of mycat_conf/
                    found |= {(node.name, table, str(row[0])): 0 for row in cursor.fetchall()}
        except pymysql.MySQLError as error:
            raise StorageError(
                f"{node.name} (port {settings.port(node.name)}) could not be read: {error.args[-1]}. "
                "Start it with `kakou up`, then run the command again."
            ) from error
    return found


def _names(gates: Iterable[str]) -> dict[str, str]:
    """One name for the writings that the database takes for equal: the one that the endpoint takes too."""
    names: dict[str, str] = {}
    for gate in sorted(set(gates)):
        names.setdefault(gate_key(gate), gate)
    return names
