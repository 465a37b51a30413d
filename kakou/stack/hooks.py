"""What has to be done between the start of the stores and the start of those that use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from kakou.settings import Settings
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


HOOKS: Final = (
    Hook("topics", ("kafka",), ensure_topics),
    Hook("schema", ("dn1", "dn2", "endpoint"), _build_schema),
)
