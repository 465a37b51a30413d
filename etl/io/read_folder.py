"""Edge: all files of a raw folder → their parts, as many at once as there are processors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import duckdb

from etl.io.parts import Part, load_part, read_part, reader


def read_folder(raw: Path, names: Sequence[str], out: Path, tell: Callable[[int], None]) -> None:
    """Reads every file once, byte copies of another not at all.

    Args:
        tell: called with the number of files done.
    """
    sizes = {name: (raw / name).stat().st_size for name in names}
    first = {size: name for name, size in sorted(sizes.items(), reverse=True)}
    largest_first = sorted(names, key=lambda name: -sizes[name])
    known: dict[str, Part] = {}
    done = 0
    workers = min(os.cpu_count() or 1, len(names))
    with ExitStack() as stack:
        # Each file keeps one processor busy, outside Python, so threads are enough; each has its own engine.
        engines: SimpleQueue[duckdb.DuckDBPyConnection] = SimpleQueue()
        for _ in range(workers):
            engines.put(stack.enter_context(reader(out, threads=1)))
        pool = stack.enter_context(ThreadPoolExecutor(workers))

        def read(name: str, before: dict[str, Part]) -> Part:
            con = engines.get()
            try:
                return read_part(raw, name, out, con=con, known=before)
            finally:
                engines.put(con)

        # Files of one size may be byte copies: all but the first by name wait until that one was read.
        for waiting in (False, True):
            chosen = [name for name in largest_first if (first[sizes[name]] != name) == waiting]
            for job in as_completed([pool.submit(read, name, dict(known)) for name in chosen]):
                part = job.result()
                known.setdefault(part.sha256, part)
                done += 1
                tell(done)


def parts_of_their_own(raw: Path, parts: Sequence[Part], copies: set[str], out: Path) -> list[Part]:
    """Reads again what was taken from a byte copy that is now gone or counts as the copy itself."""
    return [
        read_part(raw, part.name, out) if part.read_as and part.name not in copies else part for part in parts
    ]


def all_parts(raw: Path, names: Sequence[str], out: Path) -> list[Part]:
    """The parts of ``names``; what no worker has read yet is read now."""
    return [load_part(raw, name, out) or read_part(raw, name, out) for name in names]
