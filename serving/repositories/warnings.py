"""Live warnings, and what detection counted."""

from __future__ import annotations

from datetime import datetime

import redis
import structlog
from pydantic import ValidationError
from sqlalchemy import distinct, func, select

from kakou import redis_keys
from kakou.alert import CLONED
from kakou.detection.warning_tables import newest_told
from serving.problems import StoreDownError
from serving.shapes import AlertItem, DetectionCounts
from serving.stores import Endpoint
from serving.tables import WARNINGS

_LOG = structlog.get_logger("kakou.api")
_W = WARNINGS.c


class Warnings:
    """Reads the Redis list of warnings; when Redis is away the table, which is the truth, stands in."""

    def __init__(self, endpoint: Endpoint, client: redis.Redis) -> None:
        self._endpoint = endpoint
        self._redis = client

    def newest(self, limit: int) -> list[AlertItem]:
        """The newest warnings first.

        Raises:
            StoreDownError: neither Redis nor the table can be reached.
        """
        try:
            bodies = [str(body) for body in self._redis.lrange(redis_keys.WARNINGS, 0, limit - 1)]
        except redis.RedisError:
            bodies = newest_told(self._endpoint.ask, limit)
        return [alert for body in bodies if (alert := _read(body)) is not None]

    def counts(self, midnight: datetime) -> DetectionCounts:
        """Counters of the detection stream since it started, and today's warnings."""
        try:
            raw: dict[str, str] = self._redis.hgetall(redis_keys.DETECTION_COUNTS)  # type: ignore[assignment]
        except redis.RedisError:
            raw = {}
        return DetectionCounts(
            withheld=_number(raw.get("withheld")),
            late=_number(raw.get("late")),
            future=_number(raw.get("future")),
            warnings_today=self._since(midnight),
        )

    def _since(self, midnight: datetime) -> int | None:
        # A case that grows surer is told of again, and is one warning all the same.
        raised = select(func.count(distinct(_W.case_id))).where(
            _W.verdict == CLONED, _W.status == "raised", _W.detected_at >= midnight
        )
        try:
            return int(self._endpoint.scalar(raised))
        except StoreDownError:
            return None


def _read(body: str) -> AlertItem | None:
    """An alert; what is none is left out, so that a single bad line cannot blank the panel."""
    try:
        return AlertItem.model_validate_json(body)
    except ValidationError as error:
        _LOG.warning("alert_unreadable", errors=error.error_count())
        return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
