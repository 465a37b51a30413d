"""Edge: what a history says of single plates as a file, mapped into memory and not read.

::

    past/DIGEST.arrow   key   make  type   n      one row for each plate and what its reads show, by key;
                        …45   大众   02    19     makes and types are numbers of words that stand in the head
                        …45   丰田   02     1
                        …46          02     3

A file never changes. Its name tells what is in it, and the knowledge in force names it, so both are swapped
at once. The few plates of a batch are found by halving; the system decides how much of the file it holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kakou.detection.horizon import Past
from kakou.detection.knowledge import Knowledge
from kakou.detection.knowledge_bytes import from_bytes
from kakou.detection.past import Read, past_of
from kakou.detection.plate_keys import ALPHABET, NO_PLATE, Keys, keys_around, keys_of, plates_of
from kakou.errors import StateFormatError
from kakou.settings import Settings
from kakou.whole_files import draft_of, scratch_folder

PAST_FORMAT: Final = 1
_HEAD: Final = b"kakou"
_MEND: Final = "Run the DAG travel_times again."
Batches = Callable[[], Iterable[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Written:
    """A file of plates: its name, plates, rows and bytes."""

    name: str
    plates: int
    rows: int
    size: int


def write_plates(folder: Path, reads: Batches, days: Iterable[int]) -> Written:
    """Writes the file of a history.

    Args:
        folder: where it is to be.
        reads: gives, each time anew, ``key``, ``make``, ``type``, ``n``, as ``past.counted_reads`` with the
            keys of ``plate_keys`` in place of the plates; rising by key.
        days: on which the history has passes, since 1970.

    Raises:
        DiskFullError: no room is left.
        ValueError: the keys do not rise.
    """
    seen = _Seen()
    for batch in reads():
        if len(batch):
            seen.add(batch)
    words = {"make": sorted(seen.makes), "type": sorted(seen.types)}
    told = seen.reads > seen.plates
    head = {"format": PAST_FORMAT, "alphabet": ALPHABET, "days": sorted(days), "told": told, "words": words}
    largest = {"make": len(seen.makes), "type": len(seen.types), "n": seen.most}
    small = {name: pa.uint16() if of < 1 << 16 else pa.uint32() for name, of in largest.items()}
    schema = pa.schema(
        [("key", pa.int64()), *small.items()],
        metadata={_HEAD: json.dumps(head, ensure_ascii=False).encode()},
    )
    with scratch_folder(folder, "plates") as scratch:
        draft = scratch / "plates.arrow"
        with pa.ipc.new_file(str(draft), schema) as out:
            for batch in reads():
                out.write_batch(_coded(batch, schema, words))
        size = draft.stat().st_size
        with draft.open("rb") as held:
            name = f"{file_digest(held, 'blake2b').hexdigest()[:24]}.arrow"
        with draft_of(folder / name, durable=True) as whole:
            draft.rename(whole)
    return Written(name, seen.plates, seen.rows, size)


def _coded(batch: pa.RecordBatch, schema: pa.Schema, words: dict[str, list[str]]) -> pa.RecordBatch:
    columns = [
        pc.index_in(batch[name], pa.array(words[name], pa.string())) if name in words else batch[name]
        for name in schema.names
    ]
    return pa.record_batch(
        [one.cast(of) for one, of in zip(columns, schema.types, strict=True)], schema=schema
    )


@dataclass
class _Seen:
    """What all reads of a history hold, as their batches come."""

    makes: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    plates: int = 0
    rows: int = 0
    reads: int = 0
    most: int = 0
    last: int = NO_PLATE

    def add(self, batch: pa.RecordBatch) -> None:
        keys, n = (batch[name].to_numpy() for name in ("key", "n"))
        steps = np.diff(keys, prepend=self.last)
        if (steps < 0).any():
            raise ValueError("The keys of the plates do not rise.")
        self.makes.update(pc.unique(batch["make"]).to_pylist())
        self.types.update(pc.unique(batch["type"]).to_pylist())
        self.plates += int((steps > 0).sum())
        self.rows, self.reads = self.rows + len(keys), self.reads + int(n.sum())
        self.most, self.last = max(self.most, int(n.max())), int(keys[-1])


@dataclass(frozen=True)
class _Part:
    """Rows that lie beside each other in the file, and their keys."""

    rows: pa.RecordBatch
    keys: Keys

    def under(self, wanted: Keys) -> pa.RecordBatch | None:
        """The rows of some plates (keys rising), None where there are none."""
        low, high = np.searchsorted(wanted, self.keys[0]), np.searchsorted(wanted, self.keys[-1], "right")
        mine = wanted[low:high]
        first = np.searchsorted(self.keys, mine)
        # None lies behind the last row, as no key that is asked for is greater.
        there = self.keys[first] == mine
        if not there.any():
            return None
        first, after = first[there], np.searchsorted(self.keys, mine[there], "right")
        return self.rows.take(pa.array(np.concatenate(list(map(np.arange, first, after)))))


class PlateFile:
    """A file of plates, asked.

    Args:
        path: what ``write_plates`` wrote.

    Raises:
        StateFormatError: it is not there, broken, or written by another version.
    """

    def __init__(self, path: Path) -> None:
        try:
            held = pa.ipc.open_file(pa.memory_map(str(path)))
            head: dict[str, Any] = json.loads((held.schema.metadata or {})[_HEAD])
            if (head["format"], head["alphabet"]) != (PAST_FORMAT, ALPHABET):
                raise ValueError(f"format {head['format']}, not {PAST_FORMAT}")
            self.days, self.told = frozenset(map(int, head["days"])), bool(head["told"])
            self._makes, self._types = head["words"]["make"], head["words"]["type"]
            batches = (held.get_batch(at) for at in range(held.num_record_batches))
            self._parts = [_Part(one, one["key"].to_numpy()) for one in batches if len(one)]
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            why = f"{type(error).__name__}: {error}"
            raise StateFormatError(f"{path} cannot be read ({why}). {_MEND}") from error

    def reads_around(self, plates: Iterable[str]) -> list[Read]:
        """As ``past.Counted``."""
        keys = keys_of(list(plates))
        wanted = keys_around(keys[keys != NO_PLATE])
        found = [rows for part in self._parts if (rows := part.under(wanted)) is not None]
        return [one for rows in found for one in self._read(rows)]

    def around(self, plates: Iterable[str]) -> Past:
        """As ``History``."""
        return past_of(self.reads_around(plates), len(self.days), self.told)

    def _read(self, rows: pa.RecordBatch) -> Iterable[Read]:
        makes, types, n = (rows[name].to_pylist() for name in ("make", "type", "n"))
        plates = plates_of(rows["key"].to_numpy())
        return zip(
            plates, map(self._makes.__getitem__, makes), map(self._types.__getitem__, types), n, strict=True
        )


def past_in_force(settings: Settings, knowledge: Knowledge) -> tuple[PlateFile | Past, str]:
    """What can be asked for single plates beside some knowledge.

    Returns:
        the history, which knows nothing where its file cannot be used; and why it cannot, "" where it can or
        where nothing was learned yet.
    """
    if not knowledge.past:
        learned = bool(knowledge.gates) and knowledge.tells_of_clocks
        return Past(), f"What was learned names no file of single plates. {_MEND}" if learned else ""
    try:
        return PlateFile(settings.past_dir / knowledge.past), ""
    except StateFormatError as error:
        return Past(), str(error)


def past_not_used(settings: Settings) -> str:
    """Why detection knows nothing of single plates; "" where it does, or where nothing was learned yet.

    Raises:
        StateFormatError: what was learned was written by another version.
    """
    if not settings.knowledge_file.exists():
        return ""
    return past_in_force(settings, from_bytes(settings.knowledge_file.read_bytes()))[1]
