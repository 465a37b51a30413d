"""Edge: Redis, which holds the live warnings."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kakou.connections import TLS_VERSIONS, redis_client
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.certificates import ensure_certificates, server_file
from kakou.stack.debian import debian_root, library_path
from kakou.stack.service import Service
from kakou.whole_files import write_private


def _quoted(path: Path) -> str:
    """A path as one word of Redis's configuration."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listening(settings: Settings) -> list[str]:
    port = settings.port("redis")
    if not settings.tls_on:
        return [f"port {port}"]
    return [
        "port 0",  # no open port beside the other
        f"tls-port {port}",
        f"tls-cert-file {_quoted(server_file(settings))}",
        f"tls-key-file {_quoted(server_file(settings))}",
        f"tls-ca-cert-file {_quoted(settings.tls_authority_file)}",
        "tls-auth-clients no",  # a client shows its password
        f'tls-protocols "{TLS_VERSIONS.replace(",", " ")}"',
    ]


def _reader(settings: Settings) -> str:
    """The account of downstream apps: commands that read, our keys, and nothing that tells of the server."""
    password = secret(settings, "redis_reader").get_secret_value()
    return (
        f"user kakou_reader on #{hashlib.sha256(password.encode()).hexdigest()} "
        "resetchannels ~traffic:* ~kakou:* -@all +@read +@connection -@dangerous"
    )


def _prepare(settings: Settings) -> None:
    if settings.tls_on:
        ensure_certificates(settings)
    data = settings.data_dir / "redis"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [
        f"bind {settings.host}",
        *_listening(settings),
        "protected-mode yes",
        f"requirepass {secret(settings, 'redis').get_secret_value()}",
        _reader(settings),
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
