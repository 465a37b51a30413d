"""Why the flow model gives no forecast, in the words of the job that refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import redis

from kakou import redis_keys


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """What the last training said; all None where it has not said anything."""

    status: str | None = None
    reason: str | None = None
    reason_zh: str | None = None


class FlowStatuses:
    """Reads ``kakou:flow:status``."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def latest(self) -> FlowStatus:
        """The last training's word; an unreadable or absent one is as good as none."""
        try:
            said: Any = json.loads(str(self._redis.get(redis_keys.FLOW_STATUS) or "{}"))
        except (redis.RedisError, json.JSONDecodeError):
            return FlowStatus()
        if not isinstance(said, dict):
            return FlowStatus()
        return FlowStatus(*(_text(said.get(name)) for name in ("status", "reason", "reason_zh")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
