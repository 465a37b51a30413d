"""What the stack needs to know about one service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kakou.settings import Settings


def _nothing(_: Settings) -> None:
    """Stands where a service needs no preparation."""


def _no_environment(_: Settings) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Service:
    """One supervised process.

    Attributes:
        name: as in ``kakou status``.
        ports: names in ``kakou.settings.PORTS`` that it listens on.
        command: its arguments.
        answers: asks the service itself; any exception means that it is not ready yet.
        prepare: renders its configuration and initialises its data, called before each start; idempotent.
        environment: what it needs on top of the child environment.
        after: steps that must be done before it starts: names of services or of hooks (see lifecycle).
        ready_s: longest time from start to the first answer.
        start_s: how long it must run to count as started, for the supervisor.
        stop_s: how long it may take to stop before it is killed.
        stop_group: whether its children are asked to stop too; not where it needs them to end in order.
    """

    name: str
    command: Callable[[Settings], list[str]]
    answers: Callable[[Settings], object]
    ports: tuple[str, ...] = ()
    prepare: Callable[[Settings], None] = _nothing
    environment: Callable[[Settings], Mapping[str, str]] = _no_environment
    after: tuple[str, ...] = field(default=())
    ready_s: int = 60
    start_s: int = 2
    stop_s: int = 20
    stop_signal: str = "TERM"
    stop_group: bool = True
