"""Which alerts are the steps of one case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar


class Step(Protocol):
    """An alert, whole or what a table says of it."""

    @property
    def case_id(self) -> str: ...

    @property
    def step(self) -> int: ...

    @property
    def detected_at(self) -> Any:
        """Text or time; of one kind for all steps that are compared."""


S = TypeVar("S", bound=Step)


def cases_of(alerts: Iterable[S]) -> list[list[S]]:
    """The steps of each case, oldest first; of one case id the oldest case first.

    A plate that has another case later has the same id again, and its steps begin with 1 again.

    Args:
        alerts: all that have the ids that they have, in any order.
    """
    cases: list[list[S]] = []
    for one in sorted(alerts, key=lambda one: (one.case_id, one.detected_at, one.step)):
        if not cases or one.step == 1 or one.case_id != cases[-1][-1].case_id:
            cases.append([])
        cases[-1].append(one)
    return cases
