"""Edge: what people said of alerts, table ``reviews``.

Reviews are added and never changed; of each case the newest one of any of its alerts counts. They are written
through the endpoint as ``kakou_reviewer``, so a real MyCat serves as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pymysql

from kakou.connections import Account, connect
from kakou.detection import warning_tables
from kakou.detection.reviews import Review, ReviewedCase, StoredReview, fault_of
from kakou.detection.warning_tables import REVIEW, asking, case_named, review_of
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.topology import load_topology

TRIES: Final = 8
PAUSE_S: Final = 0.1
# The endpoint asks the node for the next number under a lock: two at once are a deadlock or take the same.
_IN_THE_WAY: Final = frozenset({1062, 1205, 1213})
ANSWER_S: Final = 30
CONNECT_S: Final = 3
_ADD: Final = "INSERT INTO reviews (alert_id, verdict, reason, note, reviewer) VALUES (%s, %s, %s, %s, %s)"
_ADDED: Final = f"SELECT {REVIEW} FROM reviews WHERE id = %s"  # noqa: S608 - our own column names


def store_review(settings: Settings, name: str, review: Review) -> StoredReview | None:
    """Adds a review of an alert, or of the newest alert of a case.

    Args:
        name: id of the alert or of the case.

    Returns:
        it as it is stored; None where there is no such alert and no such case.

    Raises:
        BadInputError: the review cannot be taken (``fault_of``).
        StorageError: the endpoint or the node behind it is away.
    """
    fault = fault_of(review)
    if fault:
        raise BadInputError(fault)
    left = TRIES
    while True:
        left -= 1
        try:
            with _asking(settings, "endpoint", "kakou_reviewer") as cursor:
                return _added(cursor, name, review)
        except _InTheWayError:
            if not left:
                raise
            time.sleep(PAUSE_S)


def all_reviewed(settings: Settings) -> list[ReviewedCase]:
    """Every reviewed case with the review that counts, the newest review first.

    Raises:
        StorageError: the node that holds them is away, or older than this code.
    """
    with _asking(settings, _home(settings), "kakou_reader") as cursor:
        return warning_tables.all_reviewed(asking(cursor))


def bodies_of(settings: Settings, alerts: Sequence[str]) -> dict[str, str]:
    """JSON of alerts by their ids.

    Raises:
        StorageError: the node that holds them is away.
    """
    with _asking(settings, _home(settings), "kakou_reader") as cursor:
        return warning_tables.bodies_of(asking(cursor), alerts)


class _InTheWayError(StorageError):
    """Another reviewer wrote at the same moment."""


def _added(cursor: Any, name: str, review: Review) -> StoredReview | None:
    case = [one.alert_id for one in case_named(asking(cursor), name)]
    if not case:
        return None
    alert = name if name in case else case[-1]
    cursor.execute(_ADD, (alert, review.outcome, review.reason, review.note, review.reviewer.strip()))
    cursor.execute(_ADDED, (cursor.lastrowid,))
    stored = review_of(cursor.fetchone())
    cursor.connection.commit()
    return stored


def _home(settings: Settings) -> str:
    return load_topology(settings.topology_dir).single["reviews"]


@contextmanager
def _asking(settings: Settings, server: str, account: Account) -> Iterator[Any]:
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S,
    }  # fmt: skip
    try:
        with connect(settings, server, account, **options) as connection, connection.cursor() as cursor:
            yield cursor
    except pymysql.MySQLError as error:
        kind = _InTheWayError if error.args[0] in _IN_THE_WAY else StorageError
        raise kind(
            f"Reviews at {server} (port {settings.port(server)}) cannot be reached: {error.args[-1]}. "
            "See `kakou status`; `kakou up` brings the tables to this version."
        ) from error
