"""Edge: one process at a time, by a lock that the kernel frees even if its holder is killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kakou.errors import BadInputError


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Holds ``lock`` while the block runs, and refuses where another process does.

    For what must not run twice at all, such as a second writer that would double every line.

    Args:
        lock: a file; made with its folder if it is missing, and never removed.
        what: the command that is locked, for the message.

    Raises:
        BadInputError: another process holds it.
    """
    with _opened(lock) as handle:
        if not _taken(handle):
            raise BadInputError(f"Another `{what}` is running on {lock.parent}; stop that one first.")
        yield


@contextmanager
def one_after_another(
    lock: Path, on_wait: Callable[[], None] | None = None, *, shared: bool = False
) -> Iterator[None]:
    """Holds ``lock`` while the block runs, and waits as long as another process does.

    For what may be asked for twice, where the second asker finds the work done or does it again.

    Args:
        lock: a file; made with its folder if it is missing, and never removed.
        on_wait: called once before waiting, so that a person can be told.
        shared: any number of shared holders go on side by side; only one that is not shared must be alone.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with _opened(lock) as handle:
        if not _taken(handle, kind):
            if on_wait:
                on_wait()
            fcntl.flock(handle, kind)
        yield


@contextmanager
def _opened(lock: Path) -> Iterator[int]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    # Python's handles are not inherited by programs that we start, so closing ours frees the lock.
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


def _taken(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
