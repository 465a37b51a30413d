"""Edge: reads the logs of the services."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from kakou.errors import BadInputError
from kakou.settings import Settings
from kakou.stack.catalogue import services
from kakou.stack.supervision import log_file

_OLDER_PARTS = 5


def _log(settings: Settings, name: str) -> Path:
    known = services(settings)
    if name not in {*known, "supervisord"}:
        raise BadInputError(f"There is no service '{name}'. The services are {', '.join(known)}.")
    path = log_file(settings, name)
    if not path.exists():
        raise BadInputError(f"{name} has written no log yet. Start it with `kakou up {name}`.")
    return path


def tail(settings: Settings, name: str, count: int) -> list[str]:
    """The last ``count`` lines of a service's log; a log rotated a moment ago is read on into its older part.

    Raises:
        BadInputError: there is no such service, or it has written nothing yet.
    """
    path = _log(settings, name)
    lines: list[str] = []
    for part in [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, _OLDER_PARTS + 1))]:
        if len(lines) >= count or not part.exists():
            break
        with part.open(encoding="utf-8", errors="replace") as log:
            lines[:0] = [line.rstrip("\n") for line in deque(log, count - len(lines))]
    return lines


def follow_log(settings: Settings, name: str, pause: Callable[[], None]) -> Iterator[str]:
    """Lines as they are added from now on, for ever; a rotated file is opened anew."""
    path = _log(settings, name)
    log = path.open(encoding="utf-8", errors="replace")
    log.seek(0, 2)
    begun = ""
    while True:
        begun += log.readline()
        if begun.endswith("\n"):
            yield begun.rstrip("\n")
            begun = ""
            continue
        if path.exists() and path.stat().st_ino != _inode(log.fileno()):
            log.close()
            log = path.open(encoding="utf-8", errors="replace")
            continue
        pause()


def _inode(handle: int) -> int:
    return os.fstat(handle).st_ino
