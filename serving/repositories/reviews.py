"""What people said of warnings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from kakou.detection.reviews import Review
from kakou.errors import StorageError
from kakou.settings import Settings
from serving.problems import StoreDownError, UnknownWarningError
from serving.shapes import ReviewItem
from sql.reviews import StoredReview, reviews_of, store_review


class Reviews:
    """Adds to table ``reviews`` and reads it, over a connection of its own for each call: they are few, and
    the account that writes has no pool.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def add(self, name: str, review: Review) -> ReviewItem:
        """Stores a review of the alert ``name``, or of the newest alert of the case ``name``.

        Raises:
            UnknownWarningError: there is neither.
            StoreDownError: the endpoint or a node behind it is away, or not set up yet.
        """
        with _plainly():
            stored = store_review(self._settings, name, review)
        if stored is None:
            raise _unknown()
        return self._item(stored)

    def of(self, name: str) -> list[ReviewItem]:
        """All reviews of an alert, or of all alerts of a case, newest first.

        Raises:
            UnknownWarningError: there is neither.
            StoreDownError: as above.
        """
        with _plainly():
            found = reviews_of(self._settings, name)
        if found is None:
            raise _unknown()
        return [self._item(one) for one in found]

    def _item(self, stored: StoredReview) -> ReviewItem:
        said, at = stored.review, stored.created_at.replace(tzinfo=ZoneInfo(self._settings.timezone))
        return ReviewItem.model_validate(
            {
                "id": stored.id, "alert_id": stored.alert_id, "outcome": said.outcome, "reason": said.reason,
                "note": said.note, "reviewer": said.reviewer,
                "created_at": at.isoformat(timespec="milliseconds"),
            }
        )  # fmt: skip


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise StoreDownError(
            "The database does not answer. Try again; `kakou status` shows which part is away.",
            store="endpoint",
        ) from error


def _unknown() -> UnknownWarningError:
    return UnknownWarningError(
        "There is no warning and no case with that id. `GET /api/warnings/realtime` lists the newest ones."
    )
