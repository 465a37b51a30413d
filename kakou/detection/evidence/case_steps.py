"""Which alert a page of evidence is of, and what was said of its case before and after."""

from __future__ import annotations

from collections.abc import Iterable

from kakou.alert import Alert


def page_and_steps(alerts: Iterable[Alert], name: str) -> tuple[Alert, list[Alert]]:
    """The alert that a page is of, and all steps of its case, oldest first.

    Args:
        alerts: all of one case id, in any order, at least one. A plate that has another case later has the
            same id again, and its steps begin with 1 again.
        name: an alert's id, or the id of the case, whose newest alert is taken then.
    """
    cases: list[list[Alert]] = []
    for one in sorted(alerts, key=lambda one: (one.detected_at, one.step)):
        if not cases or one.step == 1:
            cases.append([])
        cases[-1].append(one)
    for steps in cases:
        for one in steps:
            if one.alert_id == name:
                return one, steps
    return cases[-1][-1], cases[-1]
