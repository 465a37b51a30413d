"""``python -m serving``: the API on its port, one process, ended gracefully by SIGTERM."""

from __future__ import annotations

import logging
import socket
import sys

import structlog
import uvicorn

from kakou.errors import KakouError, PortTakenError, SchemaError, StorageError
from kakou.settings import Settings, load_settings
from serving.app import create_app
from sql.migrate import demand_newest

_LOG = structlog.get_logger("kakou.api")


def main() -> None:
    """Serves until it is told to end."""
    try:
        settings = load_settings()
        _log_as_json(settings.log_level)
        _compare_schema(settings)
        listener = _listen(settings)
    except KakouError as error:
        sys.exit(f"kakou: {error}")
    config = uvicorn.Config(
        create_app(settings),
        access_log=False,  # the envelope logs what is slow or failed, without query texts
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=30,
        backlog=512,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _compare_schema(settings: Settings) -> None:
    """Refuses tables of another version. A node that is away is no reason to stay away too: `/ready` says so.

    Raises:
        SchemaError: a node is older or newer than this code.
    """
    try:
        demand_newest(settings)
    except SchemaError:
        raise
    except StorageError as error:
        _LOG.warning("schema not compared", why=str(error))


def _listen(settings: Settings) -> socket.socket:
    """Takes the port before there is an application, so that a taken one is one sentence, no traceback."""
    port = settings.port("api")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, port))
    except OSError as error:
        listener.close()
        raise PortTakenError(
            f"Port {port} of the API cannot be taken on {settings.host} ({error.strerror}). "
            "End the program that holds it, or set KAKOU_PORT_OFFSET."
        ) from error
    return listener


def _log_as_json(level: str) -> None:
    logging.basicConfig(
        level=level, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level, 20)),
    )


if __name__ == "__main__":
    main()
