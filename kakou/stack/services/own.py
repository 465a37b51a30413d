"""Edge: our own processes: the stream, the shipper, the API."""

from __future__ import annotations

import sys
from typing import Any

import httpx

from kakou.settings import Settings
from kakou.stack.service import Service
from kakou.stack.supervision import Supervisor

_SETTLED_S = 5


def get(settings: Settings, service: str, path: str) -> Any:
    """GET on one of our ports.

    Raises:
        httpx.HTTPError: away, or an answer that is no success.
    """
    answer = httpx.get(f"http://{settings.host}:{settings.port(service)}{path}", timeout=5, trust_env=False)
    return answer.raise_for_status()


def _has_settled(settings: Settings, name: str) -> None:
    """A process without a port is ready when it has been running for a moment."""
    state = Supervisor(settings).states().get(name)
    if state is None or state.state != "RUNNING" or state.uptime_s < _SETTLED_S:
        raise ConnectionError(f"{name} is not settled yet")


SERVICES = (
    Service(
        name="stream",
        command=lambda _: [sys.executable, "-m", "spark_jobs.stream_passages"],
        answers=lambda settings: _has_settled(settings, "stream"),
        after=("topics", "schema", "redis"),
        ready_s=120,
        start_s=10,
        stop_s=60,
        stop_group=False,  # the JVM must outlive the batch that is being ended; it goes with its parent
    ),
    Service(
        name="ship",
        command=lambda _: [sys.executable, "-m", "kakou.cli", "ship"],
        answers=lambda settings: _has_settled(settings, "ship"),
        after=("topics",),
        start_s=3,
        stop_s=30,
    ),
    Service(
        name="api",
        ports=("api",),
        command=lambda _: [sys.executable, "-m", "serving"],
        answers=lambda settings: get(settings, "api", "/health"),
        after=("schema", "redis"),
        ready_s=120,
        start_s=3,
    ),
)
