"""Alerts: table ``warnings`` first, which is the truth, then the Redis list that screens read.

The passes that an alert was given on go into ``warning_tracks``, for its page of evidence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import redis

from kakou import redis_keys
from kakou.connections import connect, redis_client
from kakou.detection.warning_tables import TOLD, asking, newest_told
from kakou.settings import Settings
from kakou.topology import load_topology

_CHUNK: Final = 500
_COLUMNS: Final = (
    "alert_id", "case_id", "step", "verdict", "status", "severity", "confidence", "hphm", "first_gcxh",
    "second_gcxh", "first_kkmc", "second_kkmc", "first_gcsj", "second_gcsj", "gap_seconds", "rule_version",
    "detected_at", "body",
)  # fmt: skip
_INSERT: Final = (
    f"INSERT IGNORE INTO warnings ({', '.join(_COLUMNS)}) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
)
_INSERT_TRACKS: Final = "INSERT IGNORE INTO warning_tracks (alert_id, body) VALUES (%s, %s)"
# KEYS: the list, then one guard per alert. ARGV: how many are kept, seconds a guard lives, then the alerts,
# oldest first.
PUSH: Final = """
local pushed = 0
for i = 2, #KEYS do
  if redis.call('SET', KEYS[i], '1', 'NX', 'EX', ARGV[2]) then
    redis.call('LPUSH', KEYS[1], ARGV[i + 1])
    pushed = pushed + 1
  end
end
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[1]) - 1)
return pushed
"""


class AlertTable:
    """Tables ``warnings`` and ``warning_tracks`` on their one node.

    Flush contract: ``write`` returns when all are committed, in one transaction; an alert that is there
        stays as it is, and so do its tracks.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._node = load_topology(settings.topology_dir).single["warnings"]

    def write(self, bodies: Sequence[str], tracks: Sequence[str | None] = ()) -> list[str]:
        """Writes alerts given as JSON; returns them as the table now holds them, oldest first.

        Args:
            tracks: of each alert, as JSON, None where they are not kept; or of no alert at all.
        """
        if not bodies:
            return []
        alerts = [json.loads(body) for body in bodies]
        pairs = zip(alerts, tracks, strict=bool(tracks))
        shown = [(alert["alert_id"], one) for alert, one in pairs if one is not None]
        connection = connect(self._settings, self._node, "kakou_writer", read_timeout=60, write_timeout=60)
        with connection, connection.cursor() as cursor:
            rows = [_row(alert, body) for alert, body in zip(alerts, bodies, strict=True)]
            cursor.executemany(_INSERT, rows)
            if shown:
                cursor.executemany(_INSERT_TRACKS, shown)
            connection.commit()
            held: list[str] = []
            ids = [alert["alert_id"] for alert in alerts]
            for start in range(0, len(ids), _CHUNK):
                cursor.execute(
                    "SELECT detected_at, alert_id, body FROM warnings "  # noqa: S608 - our own words
                    f"WHERE alert_id IN %s AND {TOLD} ORDER BY detected_at, alert_id",
                    (ids[start : start + _CHUNK],),
                )
                held += [str(row[2]) for row in cursor.fetchall()]
        return held

    def newest(self, limit: int) -> list[str]:
        """The newest cloned plates, oldest first."""
        connection = connect(self._settings, self._node, "kakou_writer", read_timeout=60)
        with connection, connection.cursor() as cursor:
            return newest_told(asking(cursor), limit)[::-1]


class AlertList:
    """The Redis list ``traffic:warnings``.

    Flush contract: ``push`` returns when Redis has run the one call; an alert that was pushed before is not
        pushed again.
    """

    def __init__(self, settings: Settings) -> None:
        self._redis: redis.Redis = redis_client(settings)
        self._script = self._redis.register_script(PUSH)

    def push(self, bodies: Sequence[str]) -> int:
        """Pushes alerts given as JSON, oldest first; returns how many were new.

        Raises:
            redis.RedisError: Redis is away; all or none were pushed.
        """
        if not bodies:
            return 0
        guards = [redis_keys.ALERT_PREFIX + json.loads(body)["alert_id"] for body in bodies]
        return int(
            self._script(
                keys=[redis_keys.WARNINGS, *guards],
                args=[redis_keys.WARNINGS_KEPT, redis_keys.ALERT_TTL_S, *bodies],
            )
        )

    def is_filled(self) -> bool:
        """False in a Redis that was never filled, or has lost everything since."""
        return bool(self._redis.exists(redis_keys.WARNINGS_FILLED))

    def refill(self, table: AlertTable) -> int:
        """Pushes the newest alerts of the table that were not pushed yet; returns how many they were.

        A list that somebody has emptied by reading it stays empty: its alerts were pushed before.
        """
        pushed = self.push(table.newest(redis_keys.WARNINGS_KEPT))
        self._redis.set(redis_keys.WARNINGS_FILLED, "1")
        return pushed

    def rebuild(self, table: AlertTable) -> int:
        """Makes the list anew from the table, whatever was pushed before; returns how long it is."""
        bodies = table.newest(redis_keys.WARNINGS_KEPT)
        guards = [redis_keys.ALERT_PREFIX + json.loads(body)["alert_id"] for body in bodies]
        with self._redis.pipeline(transaction=True) as all_at_once:
            all_at_once.delete(redis_keys.WARNINGS, *guards)
            self._script(
                keys=[redis_keys.WARNINGS, *guards],
                args=[redis_keys.WARNINGS_KEPT, redis_keys.ALERT_TTL_S, *bodies],
                client=all_at_once,
            )
            all_at_once.set(redis_keys.WARNINGS_FILLED, "1")
            all_at_once.execute()
        return len(bodies)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()


def _row(alert: dict[str, Any], body: str) -> tuple[Any, ...]:
    first, second = alert["first"], alert["second"]
    # The column has no offset: local time of the stamp, which is the platform's zone.
    detected = datetime.fromisoformat(alert["detected_at"]).replace(tzinfo=None)
    flat = alert | {
        "first_gcxh": first["gcxh"], "second_gcxh": second["gcxh"],
        "first_kkmc": first["kkmc"], "second_kkmc": second["kkmc"],
        "first_gcsj": first["gcsj"], "second_gcsj": second["gcsj"],
        "detected_at": detected, "body": body,
    }  # fmt: skip
    return tuple(flat[name] for name in _COLUMNS)
