"""Every service of the stack, in the order in which people read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kakou.errors import BadInputError
from kakou.settings import PORTS, Settings, node_port
from kakou.stack.service import Service
from kakou.stack.services import broker, cache, conductor, database, own, registry
from kakou.topology_versions import every_node


def services(settings: Settings) -> dict[str, Service]:
    """The services of this stack: its nodes are those of its topology and those that a re-shard adds."""
    return _with_nodes(every_node(settings))


def stores(settings: Settings) -> tuple[str, ...]:
    """Names of the services that keep data."""
    return _stores(every_node(settings))


def _with_nodes(nodes: Iterable[str]) -> dict[str, Service]:
    every = (
        broker.SERVICE,
        *map(database.service, nodes),
        database.service("endpoint"),
        cache.SERVICE,
        registry.SERVICE,
        *conductor.SERVICES,
        *own.SERVICES,
    )
    return {one.name: one for one in every}


def _stores(nodes: Iterable[str]) -> tuple[str, ...]:
    return ("kafka", *nodes, "endpoint", "redis")


# As shipped: of a stack that was never re-sharded.
_SHIPPED_NODES: Final = tuple(name for name in PORTS if node_port(name))
SERVICES: Final = _with_nodes(_SHIPPED_NODES)
STORES: Final = _stores(_SHIPPED_NODES)


def chosen(settings: Settings, names: set[str] | None) -> list[Service]:
    """The services called ``names``, or all.

    Raises:
        BadInputError: there is no such service.
    """
    known = services(settings)
    unknown = (names or set()) - known.keys()
    if unknown:
        raise BadInputError(
            f"There is no service {', '.join(sorted(unknown))}. The services are {', '.join(known)}."
        )
    return [one for one in known.values() if names is None or one.name in names]
