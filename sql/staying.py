"""Edge: views of what stays on a node, while a re-shard deletes there what has moved.

Moved rows lie on two nodes until they are deleted on the old one, and the endpoint reads whole tables. So the
old nodes get a view ``<table>__of_<n>`` without the moved gates, and the endpoint links to that as soon as
the topology has ``n`` nodes. Which link is right is therefore told by the nodes and the topology alone:
whoever builds the endpoint again in the middle of a re-shard builds the right one.
"""

from __future__ import annotations

from collections.abc import Iterable

from kakou.connections import connect
from kakou.settings import Settings
from kakou.topology import Topology


def links(settings: Settings, topology: Topology) -> dict[str, dict[str, str]]:
    """For each sharded table the nodes that have a view for this topology, and the view's name."""
    found: dict[str, dict[str, str]] = {table: {} for table in topology.sharded}
    for node in topology.nodes:
        server = connect(settings, node.name, "root")
        with server, server.cursor() as cursor:
            cursor.execute("SHOW FULL TABLES WHERE Table_type = 'VIEW'")
            present = {str(row[0]) for row in cursor.fetchall()}
        for table in topology.sharded:
            if _view(table, topology) in present:
                found[table][node.name] = _view(table, topology)
    return found


def create(settings: Settings, topology: Topology, node: str, moved: Iterable[str]) -> None:
    """Makes the views of ``node``: each sharded table without the rows of the gates ``moved``.

    Args:
        topology: the one that the views are for.
    """
    gates = sorted(moved)
    keep = f"WHERE `{topology.column}` NOT IN %s" if gates else ""
    server = connect(settings, node, "root", autocommit=True)
    with server, server.cursor() as cursor:
        for table in topology.sharded:
            rest = f"SELECT * FROM `{table}` {keep}"  # noqa: S608 - names of mycat_conf/
            cursor.execute(
                f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW `{_view(table, topology)}` AS {rest}",
                (gates,) if gates else None,
            )


def drop(settings: Settings, topology: Topology) -> None:
    """Removes the views from every node."""
    views = ", ".join(f"`{_view(table, topology)}`" for table in topology.sharded)
    for node in topology.nodes:
        server = connect(settings, node.name, "root", autocommit=True)
        with server, server.cursor() as cursor:
            cursor.execute(f"DROP VIEW IF EXISTS {views}")


def _view(table: str, topology: Topology) -> str:
    return f"{table}__of_{len(topology.nodes)}"
