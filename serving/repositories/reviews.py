"""What people said of warnings."""

from __future__ import annotations

from collections.abc import Collection
from zoneinfo import ZoneInfo

from kakou.detection.reviews import Review, StoredReview
from kakou.detection.warning_tables import reviews_named, what_counts_of
from kakou.errors import StorageError
from kakou.settings import Settings
from serving.problems import StoreDownError, UnknownWarningError
from serving.shapes import CaseReview, ReviewItem
from serving.stores import Endpoint
from sql.reviews import store_review


class Reviews:
    """Adds to table ``reviews`` over a connection of its own for each call, as they are few and the account
    that writes has no pool; reads it as everything else is read.
    """

    def __init__(self, settings: Settings, endpoint: Endpoint) -> None:
        self._settings = settings
        self._endpoint = endpoint

    def add(self, name: str, review: Review) -> ReviewItem:
        """Stores a review of the alert ``name``, or of the newest alert of the case ``name``.

        Raises:
            UnknownWarningError: there is neither.
            StoreDownError: the endpoint or a node behind it is away, or not set up yet.
        """
        try:
            stored = store_review(self._settings, name, review)
        except StorageError as error:
            raise StoreDownError(
                "The database does not answer. Try again; `kakou status` shows which part is away.",
                store="endpoint",
            ) from error
        if stored is None:
            raise _unknown()
        return self._item(stored)

    def of(self, name: str) -> list[ReviewItem]:
        """All reviews of an alert, or of all alerts of a case, newest first.

        Raises:
            UnknownWarningError: there is neither.
            StoreDownError: as above.
        """
        found = reviews_named(self._endpoint.ask, name)
        if found is None:
            raise _unknown()
        return [self._item(one) for one in found]

    def that_count(self, alerts: Collection[str]) -> list[CaseReview]:
        """The review that counts of the case of each alert, in the order of their ids; alerts that are not
        stored, or whose case nobody reviewed, are left out.

        Raises:
            StoreDownError: as above.
        """
        found = what_counts_of(self._endpoint.ask, alerts)
        return [CaseReview(alert_id=alert, review=self._item(one)) for alert, one in sorted(found.items())]

    def _item(self, stored: StoredReview) -> ReviewItem:
        said, at = stored.review, stored.created_at.replace(tzinfo=ZoneInfo(self._settings.timezone))
        return ReviewItem.model_validate(
            {
                "id": stored.id, "alert_id": stored.alert_id, "outcome": said.outcome, "reason": said.reason,
                "note": said.note, "reviewer": said.reviewer,
                "created_at": at.isoformat(timespec="milliseconds"),
            }
        )  # fmt: skip


def _unknown() -> UnknownWarningError:
    return UnknownWarningError(
        "There is no warning and no case with that id. `GET /api/warnings/realtime` lists the newest ones."
    )
