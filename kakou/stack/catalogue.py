"""Every service of the stack, in the order in which people read them."""

from __future__ import annotations

from typing import Final

from kakou.errors import BadInputError
from kakou.stack.service import Service
from kakou.stack.services import broker, cache, conductor, database, own, registry

SERVICES: Final[dict[str, Service]] = {
    one.name: one
    for one in (
        broker.SERVICE,
        database.service("dn1"),
        database.service("dn2"),
        database.service("endpoint"),
        cache.SERVICE,
        registry.SERVICE,
        *conductor.SERVICES,
        *own.SERVICES,
    )
}
STORES: Final = ("kafka", "dn1", "dn2", "endpoint", "redis")


def chosen(names: set[str] | None) -> list[Service]:
    """The services called ``names``, or all.

    Raises:
        BadInputError: there is no such service.
    """
    unknown = (names or set()) - SERVICES.keys()
    if unknown:
        raise BadInputError(
            f"There is no service {', '.join(sorted(unknown))}. The services are {', '.join(SERVICES)}."
        )
    return [one for one in SERVICES.values() if names is None or one.name in names]
