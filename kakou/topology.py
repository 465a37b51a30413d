"""Reads ``mycat_conf/``, the one source of where a row lies."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from kakou.errors import TopologyError
from kakou.sharding import Ring, build_ring


@dataclass(frozen=True, slots=True)
class Node:
    """A data node of ``schema.xml``: its name, where it listens before the port offset, and its database."""

    name: str
    host: str
    port: int
    database: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What ``schema.xml`` and ``rule.xml`` say together.

    Attributes:
        schema: logical schema at the endpoint.
        nodes: the data nodes, in ring order.
        column: lower-case name of the column that the ring is asked with.
        sharded, global_, single: table names by kind; ``single`` maps a table to its one node.
    """

    schema: str
    nodes: tuple[Node, ...]
    ring: Ring
    column: str
    sharded: tuple[str, ...]
    global_: tuple[str, ...]
    single: dict[str, str]


def _root(path: Path) -> ET.Element:
    try:
        return ET.parse(path).getroot()  # noqa: S314 - our own file
    except (OSError, ET.ParseError) as error:
        raise TopologyError(
            f"{path} cannot be read ({error}). Restore it from version control or a backup."
        ) from error


def _property(node: ET.Element, name: str, path: Path) -> str:
    for one in node.findall("property"):
        if one.get("name") == name and one.text:
            return one.text.strip()
    raise TopologyError(f"{path}: property '{name}' is missing. Add it to the <function>.")


def load_topology(folder: Path) -> Topology:
    """Reads ``schema.xml`` and ``rule.xml``.

    Args:
        folder: may be a link to a version of the topology that is swapped meanwhile; both files are then of
            the same version.

    Raises:
        TopologyError: a file is missing, or the two disagree.
    """
    folder = folder.resolve()
    schema_path, rule_path = folder / "schema.xml", folder / "rule.xml"
    schema_root, rule_root = _root(schema_path), _root(rule_path)
    schema = schema_root.find("schema")
    if schema is None:
        raise TopologyError(f"{schema_path} holds no <schema>.")
    hosts = {}
    for host in schema_root.findall("dataHost"):
        write = host.find("writeHost")
        if write is None:
            raise TopologyError(f"{schema_path}: dataHost {host.get('name')} has no <writeHost>.")
        address, _, port = write.get("url", "").rpartition(":")
        hosts[host.get("name")] = (address, int(port))
    nodes = tuple(
        Node(n.get("name", ""), *hosts[n.get("dataHost")], n.get("database", ""))
        for n in schema_root.findall("dataNode")
    )
    if len({(n.host, n.port, n.database) for n in nodes}) != len(nodes):
        raise TopologyError(f"{schema_path}: two dataNodes name the same physical database.")
    function = rule_root.find("function")
    if function is None:
        raise TopologyError(f"{rule_path} holds no <function>.")
    count = int(_property(function, "count", rule_path))
    if count != len(nodes):
        raise TopologyError(f"{rule_path} says count={count}, but {schema_path} has {len(nodes)} dataNodes.")
    ring = build_ring(
        [n.name for n in nodes],
        seed=int(_property(function, "seed", rule_path)),
        virtual_bucket_times=int(_property(function, "virtualBucketTimes", rule_path)),
    )
    rules = {
        rule.get("name"): (rule.findtext("rule/columns") or "").strip()
        for rule in rule_root.iter("tableRule")
    }
    names = [node.name for node in nodes]
    sharded: list[str] = []
    global_: list[str] = []
    single: dict[str, str] = {}
    columns: set[str] = set()
    for table in schema.findall("table"):
        name, on = table.get("name", ""), table.get("dataNode", "").split(",")
        rule = table.get("rule")
        if table.get("type") == "global" or rule:
            if on != names:
                raise TopologyError(
                    f"{schema_path}: table {name} must name every dataNode in order: {','.join(names)}."
                )
            (sharded if rule else global_).append(name)
        elif len(on) == 1 and on[0] in names:
            single[name] = on[0]
        else:
            raise TopologyError(f"{schema_path}: table {name} has no rule, so it must name one dataNode.")
        if rule:
            columns.add(rules.get(rule, "").lower())
    if len(columns) != 1 or "" in columns:
        raise TopologyError(
            f"{rule_path}: the sharded tables need one <tableRule> with one column between them."
        )
    return Topology(
        schema.get("name", ""), nodes, ring, columns.pop(), tuple(sharded), tuple(global_), single
    )
