"""One file of the log in the spool: a link to it, or a copy where no link can be made."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.io.pass_log import whole_size
from etl.ship.log_file import Seen, hash_of, read_head, same_beginning
from kakou.whole_files import own_name

CHUNK: Final = 1 << 20
# Another file system, one without links, too many of them, or a file of another owner.
_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)
_NAME: Final = re.compile(
    r"(?P<number>\d{8})-(?P<name>(?P<inode>[0-9a-f]+)-[0-9a-f]{12}[.\d]*)(@(?P<base>\d+))?"
)

Link = Callable[[Path, Path], None]


@dataclass(slots=True, eq=False)
class Spooled:
    """A file of the log from the moment it was met until all of it is shipped.

    Attributes:
        number: the order of writing. name: what positions and records call it, see ``Seen.name``.
        inode: of the log's file; -1 once no file of the log holds these lines.
        path: the link or copy; None where there is neither, and then ``source`` is read itself.
        base: place in the log's file of the first byte at ``path``; above 0 for rescued lines.
        source: the log's open file while it must be copied or read from there, else -1.
        read: how far the follower is. size: as last seen, and once ``closed`` up to its last line end.
        length: bytes as last seen. closed: nothing more is written to it. held: the log let go of it.
        reading: the follower is or was in it. suspect: other bytes were found than had been read.
        moved: how often ``path`` changed.
    """

    number: int
    name: str
    inode: int
    head: bytes
    path: Path | None
    base: int = 0
    source: int = -1
    read: int = 0
    size: int = 0
    length: int = 0
    closed: bool = False
    held: bool = False
    reading: bool = False
    suspect: bool = False
    moved: int = 0

    @property
    def kept_bytes(self) -> int:
        """What it takes of the disk once the log has let go of it."""
        return self.length - self.base if self.path else 0

    def open(self) -> int:
        """A handle to read from, whose first byte is byte ``base``; -1 if there is nothing to read from."""
        if self.path is not None:
            return os.open(self.path, os.O_RDONLY)
        return os.dup(self.source) if self.source >= 0 else -1

    def measure(self) -> None:
        """Notes the size up to the last line end."""
        handle = self.open()
        if handle >= 0:
            self.length = self.base + os.fstat(handle).st_size
            self.size = self.base + whole_size(handle, self.length - self.base)
            os.close(handle)

    def copy_more(self) -> bool:
        """Brings a copy up to its source's last line end, as half a line may be cut off and written anew.

        Returns:
            False if that failed; then there is no copy any more.
        """
        if self.source < 0 or self.path is None:
            return True
        try:
            with self.path.open("ab") as copy:
                at = copy.tell()
                end = whole_size(self.source, os.fstat(self.source).st_size)
                while data := os.pread(self.source, min(CHUNK, end - at), at) if at < end else b"":
                    copy.write(data)
                    at += len(data)
        except OSError:
            self.path.unlink(missing_ok=True)
            self.path = None
            self.moved += 1
            return False
        return True

    def replace_by(self, copy: Seen | None, path: Path, source: int) -> None:
        """Its lines are at ``path`` now, and the log's file holds others."""
        self.leave_source()
        self.inode, self.path, self.source = copy.inode if copy else -1, path, source
        self.head = copy.head if copy else self.head
        self.suspect, self.closed = False, True
        self.moved += 1
        self.copy_more()
        self.measure()

    def become_what_it_holds(self) -> None:
        """Takes the name of the lines that a truncated and rewritten file holds by now; its own are gone."""
        if self.path is None:
            return
        self.name = f"{self.inode:x}-{hash_of(self.head)}"
        self.path = self.path.replace(place_of(self.path.parent, self.number, self.name))
        self.suspect = False
        self.measure()

    def attach(self, seen: Seen) -> int | None:
        """Goes on with what an earlier process spooled of ``seen``; returns as ``take`` does."""
        if self.path is None or self.path.stat().st_ino == seen.inode:
            return -1
        return _opened(seen) if same_beginning(self.path, seen.path) else None

    def let_go(self) -> None:
        """Removes what the spool has of it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None
        self.leave_source()

    def leave_source(self) -> None:
        """Ends the copying."""
        if self.source >= 0:
            os.close(self.source)
            self.source = -1


def place_of(folder: Path, number: int, name: str, base: int = 0) -> Path:
    """Where a file lies in the spool."""
    return folder / (f"{number:08d}-{name}" + (f"@{base}" if base else ""))


def take(seen: Seen, target: Path, link: Link = os.link) -> int | None:
    """Puts ``seen`` at ``target`` by a link, else begins a copy.

    Returns:
        -1 for a link, the open source for a copy, None if the file was gone or renamed meanwhile.
    """
    draft = own_name(target)
    try:
        link(seen.path, draft)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return _begin_copy(seen, target)
    try:
        if draft.stat().st_ino != seen.inode:
            return None
        draft.replace(target)
        return -1
    finally:
        draft.unlink(missing_ok=True)


def _begin_copy(seen: Seen, target: Path) -> int | None:
    source = _opened(seen)
    if source is not None:
        target.unlink(missing_ok=True)
        target.touch()
    return source


def _opened(seen: Seen) -> int | None:
    try:
        source = os.open(seen.path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if os.fstat(source).st_ino == seen.inode:
        return source
    os.close(source)
    return None


def found_in(folder: Path) -> list[Spooled]:
    """What an earlier process left in the spool, oldest first.

    A link whose first line is another than its name says was truncated while nobody shipped: ``suspect``, and
    of size 0, as nobody knows what it held.
    """
    files = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if not match:
            continue
        with path.open("rb") as file:
            head, inode = read_head(file.fileno()), os.fstat(file.fileno()).st_ino
        base, own = int(match["base"] or 0), int(match["inode"], 16)
        linked = inode == own
        one = Spooled(
            int(match["number"]), match["name"], own if linked else -1, head, path, base, closed=True
        )
        one.suspect = linked and hash_of(head) != match["name"].split("-")[1].split(".")[0]
        if not one.suspect:
            one.measure()
        files.append(one)
    return files
