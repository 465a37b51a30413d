"""Edge: whether our ports are free."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Final

import psutil

from kakou.errors import PortTakenError
from kakou.settings import PORTS, Settings, node_port
from kakou.stack.service import Service

# Of all that may listen, nodes that a re-shard adds included.
_EVERY_PORT: Final = {*PORTS.values(), *(port for n in range(1, 10) if (port := node_port(f"dn{n}")))}


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now; a closed connection that lingers does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _holder(port: int) -> str:
    """Who listens on a port, in words; empty where the system does not tell us."""
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port and one.pid:
                return f" by {psutil.Process(one.pid).name()} (pid {one.pid})"
    except psutil.Error:
        pass
    return ""


def demand_free_ports(settings: Settings, services: Iterable[Service]) -> None:
    """Checks the ports of services that are about to start.

    Raises:
        PortTakenError: a port is taken; the message names port, service and KAKOU_PORT_OFFSET.
    """
    for service in services:
        for name in service.ports:
            port = settings.port(name)
            if not port_is_free(settings.host, port):
                raise PortTakenError(
                    f"Port {port}, which {service.name} needs, is taken{_holder(port)}. "
                    "End that program, or set KAKOU_PORT_OFFSET (for example KAKOU_PORT_OFFSET=1000) to move "
                    "every port."
                )


def free_offset(host: str, first: int = 10_000, step: int = 100, last: int = 50_000) -> int:
    """The first offset at which every port of ours is free.

    Raises:
        PortTakenError: there is none.
    """
    for offset in range(first, last, step):
        if all(port + offset < 65536 and port_is_free(host, port + offset) for port in _EVERY_PORT):
            return offset
    raise PortTakenError(
        f"No KAKOU_PORT_OFFSET from {first} to {last} has all {len(_EVERY_PORT)} ports free."
    )
