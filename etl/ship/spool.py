"""Keeps what the log would throw away before it is shipped.

The log keeps three files. As soon as one is there it is linked into the spool, also while no broker answers,
and the follower reads the link; it goes once the file was rotated and all of it is acknowledged. A link costs
no room until the log lets go of the file. Where no link can be made (another file system, another owner) it
is a copy.

**At the cap.** A file that the log lets go of is kept while the spool holds at most ``spool_gb`` of such
files, at most ``spool_hours`` lie between their last lines, and the disk has room: the log must be able to go
on. Beyond that the file is dropped, with an error in the log and in the counts; those that were kept before
stay. So what the topic lacks is one gap behind the oldest lines, and its size is known. A file that is being
read is never dropped.

**Truncation.** A link is truncated with the log. If the log's lines were copied away before
(``copytruncate``), the copy takes the link's place. Else the lines that were read and not acknowledged are
written to the spool by ``rescue``; lines that nobody had read are gone, and counted in bytes.

**What cannot be known.** A file that came and went while no shipper ran leaves no trace. If none of the files
that were known is there at the next start, that may have happened, and a warning says so. If all files of a
log begin with the same line and it is cut by ``copytruncate`` while no shipper runs, its copy counts as new.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Final

from etl.ship.log_file import Line, Seen, scan
from etl.ship.names import Names
from etl.ship.positions import Positions
from etl.ship.spool_caps import Losses, SpoolCaps
from etl.ship.spooled import Link, Spooled, found_in, place_of, take
from kakou.whole_files import draft_of, remove_abandoned

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 0.1


class Spool:
    """The files that are not wholly shipped, in the order of writing.

    ``look`` brings them up to date. The follower calls it, and once ``watch`` was called a thread of the
    spool's own does ten times a second, since the shipper may wait long for a broker.
    """

    def __init__(
        self, log_path: Path, folder: Path, positions: Positions, caps: SpoolCaps, link: Link = os.link
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        self._log, self._folder, self._link = log_path, folder, link
        self._positions, self._caps = positions, caps
        self.losses = Losses()
        self._files = found_in(folder)
        self._names = Names(self._files, positions.offsets)
        self._number = max((one.number for one in self._files), default=0)
        self._cut: list[Spooled] = []
        self._present: frozenset[str] = frozenset()
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._resume(scan(log_path))
        self.look()

    def watch(self) -> None:
        """Starts the thread that looks."""
        self._thread = threading.Thread(target=self._watch, name="spool", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; the files stay."""
        self._end.set()
        if self._thread:
            self._thread.join()
        for one in self._files:
            one.leave_source()

    def look(self) -> None:
        """Takes new files, notices rotation and truncation, removes what is shipped, holds to the caps."""
        with self._lock:
            reached = {id(one): one.read for one in self._files}  # before the sizes, as the follower goes on
            seen = scan(self._log)
            for file in list(self._files):
                self._compare(file, seen, reached)
            for one in seen:
                if one.head and not any(file.inode == one.inode for file in self._files):
                    self._take(one, seen)
            self._hold({one.inode for one in seen})
            for file in [one for one in self._files if one.closed and self._shipped(one)]:
                self._remove(file)
            self._present = self._names.present(seen)

    def next_unread(self) -> Spooled | None:
        """The oldest file with lines that the follower has not read, else the one that is written to."""
        with self._lock:
            unread = (one for one in self._files if one.closed and one.read < one.size)
            written = (one for one in reversed(self._files) if not one.closed)
            file = next(unread, None) or next(written, None)
            if file:
                file.reading = True
            return file

    def vanished(self, file: Spooled) -> None:
        """Somebody removed the file from the spool; what was unread of it counts as dropped."""
        with self._lock:
            log.error("%s was removed from the spool before all of it was shipped", file.path)
            self._drop(file)

    def take_cut(self) -> list[Spooled]:
        """Files truncated since the last call whose lines are in memory only; each is to be given to
        ``rescue``."""
        with self._lock:
            files, self._cut[:] = list(self._cut), []
            return files

    def rescue(self, file: Spooled, lines: list[Line]) -> None:
        """Writes the lines of a truncated file that were read and not acknowledged, so that they outlive
        us."""
        with self._lock:
            if lines and file in self._files:
                path = place_of(self._folder, file.number, file.name, lines[0].start)
                with draft_of(path, durable=True) as draft:
                    draft.write_bytes(b"".join(line.data + b"\n" for line in lines))
                file.path, file.base, file.size = path, lines[0].start, lines[-1].end
                file.read = file.size
                log.warning("%d lines of a truncated log are kept in %s", len(lines), path)

    def present(self) -> frozenset[str]:
        """Names of the files that exist in log or spool; positions of others need not be kept."""
        return self._present

    def unshipped_bytes(self) -> int:
        """Bytes of lines that are not acknowledged."""
        acked = self._positions.offsets
        with self._lock:
            return sum(max(0, one.size - max(one.base, acked.get(one.name, 0))) for one in self._files)

    def held(self) -> tuple[int, int]:
        """Files that only the spool has any more, and their bytes."""
        with self._lock:
            held = [one for one in self._files if one.held]
            return len(held), sum(one.kept_bytes for one in held)

    def _watch(self) -> None:
        while not self._end.wait(LOOK_EVERY_SECONDS):
            try:
                self.look()
            except OSError as error:
                log.error("the spool in %s: %s", self._folder, error)
                self._end.wait(1.0)

    def _resume(self, seen: list[Seen]) -> None:
        """Goes on with what an earlier process left."""
        named = [one for one in seen if one.head]
        if named and self._names.any_known() and not any(map(self._names.known, named)):
            log.warning("%s was rotated past all known files; some in between may be missing", self._log)
        inodes = {one.inode for one in seen}
        for file in self._files:
            file.held = file.inode not in inodes
            if file.suspect and file.held:
                file.become_what_it_holds()
            file.read = max(file.base, self._positions.offsets.get(file.name, 0))

    def _shipped(self, file: Spooled) -> bool:
        """By what is saved: a position in memory alone would not outlive a kill."""
        return file.size <= file.base or self._positions.saved(file.name) >= file.size

    def _remove(self, file: Spooled) -> None:
        self._files.remove(file)
        file.let_go()

    def _drop(self, file: Spooled) -> None:
        self.losses.dropped_files += 1
        self.losses.dropped_bytes += max(0, file.size - max(file.read, file.base))
        self._remove(file)

    def _compare(self, file: Spooled, seen: list[Seen], reached: dict[int, int]) -> None:
        one = next((one for one in seen if one.inode == file.inode), None)
        if one and one.head == file.head and one.size >= reached[id(file)] and not file.suspect:
            file.held = False
            self._grow(file, one)
        elif one or file.suspect:
            self._truncated(file, seen)

    def _take(self, one: Seen, seen: list[Seen]) -> None:
        name = self._names.of(one, seen)
        if name is None:
            return
        file = next((file for file in self._files if file.name == name), None)
        if file and file.path:
            source = file.attach(one)
        else:
            source = take(one, place_of(self._folder, self._number + 1, name), self._link)
        if source is None:
            return
        if file is None:
            self._number += 1
            path = place_of(self._folder, self._number, name)
            file = Spooled(self._number, name, one.inode, one.head, path)
            file.read = self._positions.offsets.get(name, 0)
            self._files.append(file)
        file.inode, file.head, file.source, file.held, file.closed = one.inode, one.head, source, False, False
        self._grow(file, one)

    def _grow(self, file: Spooled, one: Seen) -> None:
        if one.size == file.length and file.closed != one.current:
            return
        if not file.copy_more():
            log.error("%s cannot be copied into the spool; it is read where it lies", one.path)
        file.length = file.size = one.size
        if not one.current:
            file.measure()
        file.closed = not one.current

    def _truncated(self, file: Spooled, seen: list[Seen]) -> None:
        copy = next((one for one in seen if self._names.is_copy(one, file)), None)
        target = place_of(self._folder, file.number, file.name)
        source = take(copy, target, self._link) if copy else None
        if copy and source is not None:
            file.replace_by(copy, target, source)
        elif file.source >= 0 and file.path:
            file.replace_by(None, file.path, -1)  # it is a copy itself
        else:
            self._lost_by_truncation(file)
        self._names.end(file.name)
        log.warning(
            "%s was truncated and begins anew%s", self._log, f"; {copy.path} holds it" if copy else ""
        )

    def _lost_by_truncation(self, file: Spooled) -> None:
        lost = max(0, file.size - file.read)
        if lost:
            self.losses.cut_bytes += lost
            log.error("%d bytes of %s were truncated before they were read; they are lost", lost, self._log)
        file.let_go()
        file.suspect, file.closed, file.inode, file.size = False, True, -1, file.read
        file.moved += 1
        self._cut.append(file)

    def _hold(self, inodes: set[int]) -> None:
        """Marks the files that the log let go of, and drops those beyond the caps."""
        for file in list(self._files):
            if file.held or file.inode in inodes:
                continue
            file.copy_more()
            file.measure()
            file.closed = file.held = True
            cut = file.inode < 0
            if file.path and file.source >= 0:
                file.leave_source()
                file.inode = -1  # nothing keeps the number from the next file
            if cut or file.reading or self._shipped(file):
                continue
            if why := self._caps.why_over(file, [one for one in self._files if one.held]):
                log.error("the spool %s: %d bytes of the pass log are dropped", why, file.size)
                self._drop(file)
