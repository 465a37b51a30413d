"""What has to be done between the start of the stores and the start of those that use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from kakou.connections import node_names
from kakou.settings import Settings
from kakou.stack.renewal import renew_certificates
from kakou.stack.topics import ensure_topics


@dataclass(frozen=True, slots=True)
class Hook:
    """A step of ``up`` that is no service; ``run`` is idempotent."""

    name: str
    after: tuple[str, ...]
    run: Callable[[Settings], None]


def _build_schema(settings: Settings) -> None:
    # By name: the shared package imports none of the packages above it (see kakou.cli).
    import_module("sql.migrate").migrate(settings)
    import_module("sql.endpoint").apply(settings)


def hooks(settings: Settings) -> tuple[Hook, ...]:
    """The hooks of this stack; the schema waits for the nodes of its topology."""
    databases = (*node_names(settings), "endpoint")
    found = (
        Hook("topics", ("kafka",), ensure_topics),
        Hook("schema", databases, _build_schema),
    )
    if not settings.tls_on:
        return found
    return (*found, Hook("certificates", ("kafka", *databases, "redis"), renew_certificates))
