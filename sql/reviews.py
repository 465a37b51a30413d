"""Edge: what people said of alerts, table ``reviews``.

Reviews are added and never changed; of each alert the newest one counts. They are written through the
endpoint as ``kakou_reviewer``, so a real MyCat serves as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pymysql

from kakou.alert import is_id
from kakou.connections import Account, connect
from kakou.detection.reviews import Review, fault_of
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.topology import load_topology

TRIES: Final = 8
PAUSE_S: Final = 0.1
# The endpoint asks the node for the next number under a lock: two at once are a deadlock or take the same.
_IN_THE_WAY: Final = frozenset({1062, 1205, 1213})
ANSWER_S: Final = 30
CONNECT_S: Final = 3
_REVIEW: Final = "r.id, r.alert_id, r.verdict, r.reason, r.note, r.reviewer, r.created_at"
# Of a case the newest row holds; its steps may be of one moment.
_NEWEST_OF_CASE: Final = (
    "SELECT alert_id FROM warnings WHERE case_id = %s "
    "ORDER BY created_at DESC, step DESC, alert_id DESC LIMIT 1"
)
_OF_ALERT: Final = f"SELECT {_REVIEW} FROM reviews r WHERE r.alert_id IN %s ORDER BY r.id DESC"  # noqa: S608
# On the node itself, where both tables are.
_COUNTING: Final = f"""
    SELECT {_REVIEW}, w.hphm, w.verdict, w.confidence, w.body
    FROM (SELECT MAX(id) AS id FROM reviews GROUP BY alert_id) newest
    JOIN reviews r ON r.id = newest.id
    JOIN warnings w ON w.alert_id = r.alert_id
    ORDER BY r.id DESC"""  # noqa: S608 - our own column names


@dataclass(frozen=True, slots=True)
class StoredReview:
    """A row of ``reviews``; ``created_at`` is local time without an offset."""

    id: int
    alert_id: str
    review: Review
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ReviewedAlert:
    """An alert with the review that counts.

    Attributes:
        hphm: its plate.
        verdict, confidence: as the alert has them.
        body: the alert's JSON.
    """

    stored: StoredReview
    hphm: str
    verdict: str
    confidence: float
    body: str

    @property
    def confirmed(self) -> bool:
        return self.stored.review.outcome == "confirmed"


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


def reviews_of(settings: Settings, name: str) -> list[StoredReview] | None:
    """All reviews of an alert, or of all alerts of a case, newest first; None where there is no such thing.

    Raises:
        StorageError: the endpoint or the node behind it is away.
    """
    with _asking(settings, "endpoint", "kakou_reader") as cursor:
        alerts = _alerts_of(cursor, name)
        if not alerts:
            return None
        cursor.execute(_OF_ALERT, (alerts,))
        return [_stored(row) for row in cursor.fetchall()]


def reviewed_alerts(settings: Settings) -> list[ReviewedAlert]:
    """Every reviewed alert with the review that counts, newest review first.

    Raises:
        StorageError: the node that holds them is away, or older than this code.
    """
    home = load_topology(settings.topology_dir).single["reviews"]
    with _asking(settings, home, "kakou_reader") as cursor:
        cursor.execute(_COUNTING)
        return [
            ReviewedAlert(_stored(row[:7]), str(row[7]), str(row[8]), float(row[9]), str(row[10]))
            for row in cursor.fetchall()
        ]


class _InTheWayError(StorageError):
    """Another reviewer wrote at the same moment."""


def _added(cursor: Any, name: str, review: Review) -> StoredReview | None:
    alert = _alert_of(cursor, name)
    if alert is None:
        return None
    cursor.execute(
        "INSERT INTO reviews (alert_id, verdict, reason, note, reviewer) VALUES (%s, %s, %s, %s, %s)",
        (alert, review.outcome, review.reason, review.note, review.reviewer.strip()),
    )
    cursor.execute(f"SELECT {_REVIEW} FROM reviews r WHERE r.id = %s", (cursor.lastrowid,))  # noqa: S608
    stored = _stored(cursor.fetchone())
    cursor.connection.commit()
    return stored


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


def _alert_of(cursor: Any, name: str) -> str | None:
    """The id of the alert that is meant."""
    if not is_id(name):
        return None
    for question in ("SELECT alert_id FROM warnings WHERE alert_id = %s", _NEWEST_OF_CASE):
        cursor.execute(question, (name,))
        row = cursor.fetchone()
        if row is not None:
            return str(row[0])
    return None


def _alerts_of(cursor: Any, name: str) -> list[str]:
    """The ids of all alerts that are meant."""
    if not is_id(name):
        return []
    for column in ("alert_id", "case_id"):
        cursor.execute(f"SELECT alert_id FROM warnings WHERE {column} = %s", (name,))  # noqa: S608
        found = [str(row[0]) for row in cursor.fetchall()]
        if found:
            return found
    return []


def _stored(row: Any) -> StoredReview:
    number, alert, outcome, reason, note, reviewer, at = row
    return StoredReview(int(number), str(alert), Review(outcome, reason, note, reviewer), at)
