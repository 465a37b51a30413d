"""Edge: is there room on the disk, and the one sentence where there is none."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kakou.errors import DiskFullError

# No room on the device, in the quota, or under the limit on the size of a file.
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As the C library, MariaDB and InnoDB put it.
_SIGNS: Final = (
    "No space left on device", "Disk quota exceeded", "File too large", "Errcode: 28", "error: 28",
    "disk is full", "Disk is full", "ENOSPC",
)  # fmt: skip


def says_disk_full(text: str) -> bool:
    """Whether what another program or library said means that no room is left."""
    return any(sign in text for sign in _SIGNS)


def disk_full(place: Path) -> DiskFullError:
    """The error that names ``place`` and what to do."""
    return DiskFullError(
        f"No room is left on the disk that holds {place}. Free some and run the command again."
    )


@contextmanager
def told_when_disk_is_full(place: Path) -> Iterator[None]:
    """Turns the operating system's ENOSPC, EDQUOT and EFBIG into a ``DiskFullError`` that names ``place``."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_full(place) from error
        raise


def demand_room(place: Path, gib: float) -> None:
    """Checks that ``gib`` GiB are free where ``place`` lies or will lie.

    Raises:
        DiskFullError: they are not.
    """
    there = next(one for one in (place, *place.parents) if one.exists())
    free = shutil.disk_usage(there).free / 2**30
    if free < gib:
        raise DiskFullError(
            f"Only {free:.1f} GiB are free on the disk of {place}, and at least {gib:g} are needed. "
            "Free some and run the command again."
        )
