"""Which name a file of the log has: its own, that of the file it is a copy of, or one for a second life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl.ship.log_file import Seen, hash_of, same_beginning
from etl.ship.spooled import Spooled


class Names:
    """Names by which files were spooled or shipped.

    A file that was truncated and written anew from the same first line on has the same inode and head as
    before; its second life gets the name with ``.1`` behind it, then ``.2``.

    Args:
        files: the spool's files; read, not kept. offsets: positions by name; read, not kept.
    """

    def __init__(self, files: Sequence[Spooled], offsets: Mapping[str, int]) -> None:
        self._files, self._offsets = files, offsets
        self._ended: set[str] = set()

    def end(self, name: str) -> None:
        """What comes under this name's inode and first line from now on is another file."""
        self._ended.add(name)

    def any_known(self) -> bool:
        """Whether anything was ever spooled or shipped."""
        return bool(self._all())

    def known(self, one: Seen) -> bool:
        """Whether this file, or one that it is a copy of, was."""
        return any(_hash_in(name) == hash_of(one.head) for name in self._all())

    def of(self, one: Seen, seen: Sequence[Seen]) -> str | None:
        """The name of a file that no spooled file is linked to; None if it needs no shipping."""
        latest = self._latest(one.name)
        if latest is None:
            return one.name if one.current else self._of_copy(one, seen)
        file = next((file for file in self._files if file.name == latest), None)
        acked = self._offsets.get(latest, 0)
        shorter = acked > one.size or (file is not None and (file.base > 0 or file.length > one.size))
        if latest in self._ended or shorter:
            return _next_life(latest)
        if file is None and not one.current and (acked >= one.size or acked >= one.whole()):
            return None
        return latest

    def is_copy(self, one: Seen, file: Spooled) -> bool:
        """Whether ``one`` can only be what ``file`` was copied to before it was truncated."""
        linked = any(other.inode == one.inode for other in self._files)
        same = _hash_in(file.name) == hash_of(one.head)
        return not one.current and same and not linked and self._latest(one.name) is None

    def present(self, seen: Sequence[Seen]) -> frozenset[str]:
        """Names of files that exist in log or spool, and of those that a file of the log is a copy of."""
        heads = {hash_of(one.head) for one in seen if one.head}
        spooled = {file.name for file in self._files}
        return frozenset(name for name in self._all() if name in spooled or _hash_in(name) in heads)

    def _of_copy(self, one: Seen, seen: Sequence[Seen]) -> str | None:
        for name in sorted(self._all()):
            if _hash_in(name) != hash_of(one.head):
                continue
            original = next((other for other in seen if other.inode == int(name.split("-")[0], 16)), None)
            if original is None:
                continue
            if original.head != one.head:
                return None if self._offsets.get(name, 0) >= one.size else name
            if same_beginning(original.path, one.path):
                return None  # it is being copied, and may be truncated next
        return one.name

    def _all(self) -> set[str]:
        return {*list(self._offsets), *(file.name for file in self._files)}

    def _latest(self, base: str) -> str | None:
        lives = [name for name in self._all() if name == base or name.startswith(f"{base}.")]
        return max(lives, key=_life, default=None)


def _hash_in(name: str) -> str:
    return name.partition("-")[2].partition(".")[0]


def _life(name: str) -> int:
    return int(name.partition(".")[2] or 0)


def _next_life(name: str) -> str:
    return f"{name.partition('.')[0]}.{_life(name) + 1}"
