"""Edge: forecasts into ``flow_forecast`` on dn1, and in Redis a word on how the last training ended."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd
import pymysql
import redis
import structlog

from kakou import redis_keys
from kakou.connections import connect, redis_client
from kakou.errors import StorageError
from kakou.settings import Settings
from kakou.topology import load_topology

log = structlog.get_logger(__name__)

_TABLE: Final = "flow_forecast"
_CHUNK: Final = 5_000
_INSERT: Final = (
    "INSERT INTO flow_forecast (kkmc, day, hour, predicted, low, high, model_version, published_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)


def publish_forecast(settings: Settings, forecast: pd.DataFrame, model_version: str) -> int:
    """Replaces all forecasts in one transaction: readers see the old ones or the new ones.

    Args:
        settings: where the node of the table is.
        forecast: ``kkmc, day, hour, predicted, low, high``.
        model_version: what the rows are signed with.

    Returns:
        rows published.

    Raises:
        StorageError: the node is away or refused; the old forecasts stay.
    """
    at = now(settings).replace(tzinfo=None, microsecond=0)
    figures = forecast[["predicted", "low", "high"]].astype("float64").round(2)
    rows = [
        (*row, model_version, at)
        for row in zip(
            forecast["kkmc"].tolist(),
            forecast["day"].tolist(),
            forecast["hour"].tolist(),
            *(figures[name].tolist() for name in figures),
            strict=True,
        )
    ]
    node = load_topology(settings.topology_dir).single[_TABLE]
    try:
        connection = connect(settings, node, "kakou_writer")
        with connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM flow_forecast")
            for start in range(0, len(rows), _CHUNK):
                cursor.executemany(_INSERT, rows[start : start + _CHUNK])
            connection.commit()
    except pymysql.MySQLError as error:
        raise StorageError(
            f"Forecasts could not be written to {node} ({error.args[-1]}); the old ones stay. "
            f"See `kakou logs {node}`, then train again."
        ) from error
    return len(rows)


def report_status(settings: Settings, status: str, **details: Any) -> None:
    """Writes ``kakou:flow:status``; without Redis the training still counts, so that is only logged.

    Args:
        settings: where Redis is.
        status: ``published`` or ``refused``.
        details: ``reason``, ``reason_zh``, ``model_version``.
    """
    body = {"status": status, "reason": None, "reason_zh": None, "model_version": None, **details}
    body["at"] = now(settings).isoformat(timespec="seconds")
    try:
        redis_client(settings).set(redis_keys.FLOW_STATUS, json.dumps(body, ensure_ascii=False))
    except redis.RedisError as error:
        log.warning("status of the flow model not written, Redis is away", error=str(error))


def now(settings: Settings) -> datetime:
    """This moment in the platform's zone."""
    return datetime.now(ZoneInfo(settings.timezone))
