"""Edge: a stack's own ``mycat_conf``, made when it is re-sharded and swapped whole.

``<var>/mycat_conf.d/`` keeps every version as a folder that MyCat 1.6.7 can read. ``<var>/mycat_conf`` is a
link to the version that holds, ``<var>/mycat_conf.next`` to the one that a re-shard prepares. Publishing is
one rename, so a reader finds one version or the other and never a mixture.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kakou.errors import TopologyError
from kakou.settings import Settings, node_port
from kakou.topology import Topology, load_topology
from kakou.whole_files import own_name, scratch_folder

_SCHEMA, _RULE, _SERVER = "schema.xml", "rule.xml", "server.xml"
_NODE: Final = re.compile(
    r'[ \t]*<dataNode\s[^>]*\bname="(?P<name>[^"]+)"[^>]*\bdataHost="(?P<host>[^"]+)"[^>]*/>\n?'
)
_HOST: Final = r'[ \t]*<dataHost\s[^>]*\bname="{name}".*?</dataHost>\n?'
_COUNT: Final = re.compile(r'(<property name="count">)\s*\d+\s*(</property>)')


def coming_dir(settings: Settings) -> Path:
    """The topology that a re-shard prepares; missing where none is under way."""
    return settings.var / "mycat_conf.next"


def every_node(settings: Settings) -> tuple[str, ...]:
    """Names of the nodes that hold rows, and then of those that a re-shard is adding."""
    names = [node.name for node in load_topology(settings.topology_dir).nodes]
    if coming_dir(settings).exists():
        names += [one.name for one in load_topology(coming_dir(settings)).nodes if one.name not in names]
    return tuple(names)


def with_nodes(texts: Mapping[str, str], count: int) -> dict[str, str]:
    """The files of ``mycat_conf`` for ``count`` nodes; comments and all that is not about nodes stay.

    Args:
        texts: file name to text.

    Raises:
        TopologyError: the files are written in a way that cannot be extended, or nodes would be taken away.
    """
    schema, nodes = texts[_SCHEMA], list(_NODE.finditer(texts[_SCHEMA]))
    if not nodes or count <= len(nodes):
        raise TopologyError(
            f"The topology has {len(nodes)} nodes. Nodes can only be added: name a larger number."
        )
    old_list = ",".join(one["name"] for one in nodes)
    for number in range(len(nodes) + 1, count + 1):
        schema = _one_more(schema, number)
    new_list = ",".join(one["name"] for one in _NODE.finditer(schema))
    schema = schema.replace(f'dataNode="{old_list}"', f'dataNode="{new_list}"')
    rule = _COUNT.sub(rf"\g<1>{count}\g<2>", texts[_RULE])
    return {**texts, _SCHEMA: schema, _RULE: rule}


def coming_topology(settings: Settings, count: int) -> Topology:
    """What the topology would be with ``count`` nodes; nothing is kept.

    Raises:
        TopologyError: see ``with_nodes``.
    """
    with scratch_folder(settings.var, "mycat_conf") as draft:
        return _write(draft, with_nodes(_texts(settings), count), count)


def stage(settings: Settings, count: int) -> Path:
    """Writes the version with ``count`` nodes and links ``coming_dir`` to it; may be repeated.

    Raises:
        TopologyError: see ``with_nodes``, or ``KAKOU_MYCAT_CONF`` names a folder that is not ours to change.
    """
    own = settings.own_topology_dir
    if settings.mycat_conf or (own.exists() and not own.is_symlink()):
        raise TopologyError(
            f"{settings.topology_dir} is a folder of yours, and a re-shard changes only what it made itself. "
            f"Move it to {own}.d/own, link {own} to it, and leave KAKOU_MYCAT_CONF empty."
        )
    texts = with_nodes(_texts(settings), count)
    digest = hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:8]
    version = own.with_name(f"{own.name}.d") / f"{count}-nodes-{digest}"
    if not version.exists():
        with scratch_folder(version.parent, version.name) as draft:
            _write(draft, texts, count)
            draft.chmod(0o755)
            draft.rename(version)
    link = own_name(coming_dir(settings))
    link.symlink_to(version.relative_to(settings.var))
    link.replace(coming_dir(settings))
    return coming_dir(settings)


def publish(settings: Settings) -> None:
    """Makes the prepared version the one that holds; nothing where none is prepared."""
    if coming_dir(settings).is_symlink():
        coming_dir(settings).replace(settings.own_topology_dir)


def forget_coming(settings: Settings) -> None:
    """Drops the prepared version; the one that holds stays."""
    coming_dir(settings).unlink(missing_ok=True)


def _texts(settings: Settings) -> dict[str, str]:
    folder = settings.topology_dir.resolve()
    try:
        return {name: (folder / name).read_text(encoding="utf-8") for name in (_SCHEMA, _RULE, _SERVER)}
    except OSError as error:
        raise TopologyError(f"{folder} cannot be read ({error}). Restore it from version control.") from error


def _write(folder: Path, texts: Mapping[str, str], count: int) -> Topology:
    """Writes the files and reads them as everybody will."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    topology = load_topology(folder)
    if len(topology.nodes) != count:
        raise TopologyError(f"schema.xml of {folder} could not be extended to {count} nodes by itself.")
    return topology


def _one_more(schema: str, number: int) -> str:
    """Adds a dataNode and its dataHost behind the last ones, and like them."""
    last = list(_NODE.finditer(schema))[-1]
    name, host = f"dn{number}", f"host{number}"
    old_host = re.search(_HOST.format(name=re.escape(last["host"])), schema, re.DOTALL)
    old_port, new_port = node_port(last["name"]), node_port(name)
    if old_port and new_port is None:
        raise TopologyError(f"There is no port for a node {name}. Name {number - 1} nodes at most.")
    if old_host is None or old_port is None or new_port is None or f'"{host}"' in schema:
        raise TopologyError(
            f"schema.xml cannot be extended behind {last['name']}: nodes must be called dn1, dn2 … and have "
            "a dataHost each, called host1, host2 …"
        )
    block = old_host[0].replace(f'"{last["host"]}"', f'"{host}"').replace(f'"{last["name"]}"', f'"{name}"')
    block = block.replace(f":{old_port}", f":{new_port}")
    node = last[0].replace(f'"{last["name"]}"', f'"{name}"').replace(f'"{last["host"]}"', f'"{host}"')
    schema = schema[: old_host.end()] + block + schema[old_host.end() :]
    return schema[: last.end()] + node + schema[last.end() :]
