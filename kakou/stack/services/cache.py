"""Edge: Redis, which holds the live warnings."""

from __future__ import annotations

from pathlib import Path

from kakou.connections import redis_client
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.debian import debian_root, library_path
from kakou.stack.service import Service
from kakou.whole_files import write_private


def _quoted(path: Path) -> str:
    """A path as one word of Redis's configuration."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _prepare(settings: Settings) -> None:
    data = settings.data_dir / "redis"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [
        f"bind {settings.host}",
        f"port {settings.port('redis')}",
        "protected-mode yes",
        f"requirepass {secret(settings, 'redis').get_secret_value()}",
        f"dir {_quoted(data)}",
        "appendonly yes",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",  # a warning must not vanish silently; the writer is told instead
        "daemonize no",
        "set-proc-title no",  # a title overwrites the environment, and with it the marker (leftovers.py)
        "supervised no",
        "save 300 100",
        "",
    ]
    write_private(settings.run_dir / "redis.conf", "\n".join(lines))


def _answers(settings: Settings) -> None:
    client = redis_client(settings)
    try:
        client.ping()
    finally:
        client.close()


SERVICE = Service(
    name="redis",
    ports=("redis",),
    prepare=_prepare,
    command=lambda settings: [
        str(debian_root(settings) / "usr/bin/redis-server"),
        str(settings.run_dir / "redis.conf"),
    ],
    environment=lambda settings: {"LD_LIBRARY_PATH": library_path(debian_root(settings))},
    answers=_answers,
)
