"""One process at a time: a second writer or shipper would double every line."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kakou.errors import BadInputError


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Holds ``lock`` while the block runs; the kernel frees it even if the process is killed.

    Raises:
        BadInputError: another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadInputError(
                f"Another `{what}` is running on {lock.parent}; stop that one first."
            ) from error
        yield
    finally:
        os.close(handle)
