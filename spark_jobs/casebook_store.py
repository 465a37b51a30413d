"""Edge: what a casebook remembers, on the disk: a version for each batch, beside Spark's own checkpoint.

::

    casebook/
      pieces/NAME.arrow   passes; a file never changes, and its name tells what is in it
      7.whole             everything else, after batch 7
      8.change, 9.change  what these batches have changed of it

A batch that is done again after a crash finds what the batch before it has left. Passes are mapped into
memory, not read, so the system decides how many of them it holds.
"""

from __future__ import annotations

import pickle
from collections import UserDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import pyarrow as pa

from kakou.detection.clocks import Clocks
from kakou.detection.memory import CASEBOOK_FORMAT, Memory, Record
from kakou.detection.state import NO_TIME, STATE_SCHEMA, Piece, State
from kakou.errors import StateFormatError
from kakou.whole_files import draft_of

# So many batches at least tell what they changed, and until that is half as much as all; then one tells all.
# A restart reads all of them, and their pieces stay as long, so there is a most, too.
_CHANGES, _MOST_CHANGES = 100, 1_000
# Passes from which on a piece stays as it is.
_LARGE: Final = 200_000
_WHOLE, _CHANGE = ".whole", ".change"
Key = TypeVar("Key")
Value = TypeVar("Value")


class Tracked(UserDict[Key, Value]):
    """A dictionary that knows what was changed in it, by any method of a mapping."""

    def __init__(self) -> None:
        self.changed: set[Key] = set()
        super().__init__()

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.changed.add(key)

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
        self.changed.add(key)

    def told(self, *, whole: bool) -> dict[Key, Value | None]:
        """All that is in it, or what was changed; None for what is gone."""
        return {key: self.get(key) for key in (self if whole else self.changed)}


@dataclass(frozen=True)
class _Version:
    """What a file says. A value of None is one that is gone; ``after`` is the version that it changes."""

    after: int | None
    newest: int
    gates: tuple[str, ...]
    passes: list[tuple[str, int]]
    sample: list[tuple[str, int]]
    records: dict[str, Record | None]
    blocks: dict[int, Clocks | None]
    traffic: dict[tuple[str, int], int | None]

    @property
    def pieces(self) -> Iterable[str]:
        return (name for name, _ in chain(self.passes, self.sample))


def casebook_of(checkpoint: Path) -> Path:
    """The folder of versions in the checkpoint of a query; made before the query first starts.

    Raises:
        StateFormatError: the query has run before, and what was remembered is gone.
    """
    folder = checkpoint / "casebook"
    if not folder.exists() and (checkpoint / "commits").exists():
        raise StateFormatError(
            f"{folder} is gone, and with it every open case. Restore it, or remove the checkpoint of the "
            "detection query; it then reads what Kafka still holds again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class CasebookStore:
    """Versions of what a casebook remembers.

    Flush contract: ``save`` returns when the version is whole in its folder; a kill before that leaves the
    version before it.

    Args:
        folder: belongs to this store alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces = folder / "pieces"
        # Pieces that are on the disk, as they are in memory.
        self._names: dict[Piece, str] = {}
        # By version: names of its pieces.
        self._kept: dict[int, set[str]] = {}
        self._wholes: list[int] = []
        self._bytes = _Bytes()

    def load(self, batch: int) -> Memory:
        """What was remembered before a batch; versions of it and of later ones are forgotten.

        Raises:
            StateFormatError: it cannot be read, or another version wrote it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pieces.mkdir(exist_ok=True)
        files = {int(one.stem): one for one in self._folder.iterdir() if one.suffix in (_WHOLE, _CHANGE)}
        # The newest first: whatever ends this leaves no change without what it changes.
        for number in sorted((one for one in files if one >= batch), reverse=True):
            files.pop(number).unlink()
        numbers = sorted(files)
        versions = {number: _read(files[number]) for number in numbers}
        self._kept = {number: set(one.pieces) for number, one in versions.items()}
        self._wholes = [one for one in numbers if files[one].suffix == _WHOLE]
        self._names, self._bytes = {}, _Bytes()
        records, blocks = Tracked[str, Record](), Tracked[int, Clocks]()
        traffic = Tracked[tuple[str, int], int]()
        memory = Memory(State(large=_LARGE), State(large=_LARGE), NO_TIME, records, blocks, traffic=traffic)
        if not versions:
            return memory
        if not self._wholes:
            raise StateFormatError(f"{self._folder} holds changes and nothing that they change. {_MEND}")
        behind = numbers[numbers.index(self._wholes[-1]) :]
        for before, number in pairwise(behind):
            if versions[number].after != before:
                lost = f"{files[number]} changes version {versions[number].after}, which is not there"
                raise StateFormatError(f"{lost}. {_MEND}")
        for number in behind:
            _apply(records, versions[number].records)
            _apply(blocks, versions[number].blocks)
            _apply(traffic, versions[number].traffic)
            self._bytes.add(files[number].stat().st_size, whole=number in self._wholes)
        last = versions[numbers[-1]]
        memory.newest, memory.gates = last.newest, last.gates
        memory.passes, memory.sample = (self._state(last.newest, one) for one in (last.passes, last.sample))
        for each in (records, blocks, traffic):
            each.changed = set()
        return memory

    def save(self, batch: int, memory: Memory) -> None:
        """Keeps what is remembered after a batch.

        Args:
            memory: what ``load`` gave, changed since.

        Raises:
            DiskFullError: no room is left.
        """
        records, blocks, traffic = memory.records, memory.blocks, memory.traffic
        assert isinstance(records, Tracked) and isinstance(blocks, Tracked) and isinstance(traffic, Tracked)
        names: dict[Piece, str] = {}
        memory.passes, memory.sample = (self._on_disk(one, names) for one in (memory.passes, memory.sample))
        self._names = names
        whole = not self._wholes or self._bytes.suffice
        version = _Version(
            None if whole else max(self._kept), memory.newest, memory.gates,
            _index(memory.passes, names), _index(memory.sample, names),
            records.told(whole=whole), blocks.told(whole=whole), traffic.told(whole=whole),
        )  # fmt: skip
        # The format by itself: another version may not know what is behind it.
        blob = pickle.dumps(CASEBOOK_FORMAT, 5) + pickle.dumps(version, 5)
        with draft_of(self._folder / f"{batch}{_WHOLE if whole else _CHANGE}") as draft:
            draft.write_bytes(blob)
        self._kept[batch] = set(version.pieces)
        self._bytes.add(len(blob), whole=whole)
        for each in (records, blocks, traffic):
            each.changed = set()
        if whole:
            self._wholes.append(batch)
            self._forget()

    def _state(self, newest: int, index: list[tuple[str, int]]) -> State:
        pieces = [Piece(self._mapped(name), level) for name, level in index]
        self._names |= {piece: name for piece, (name, _) in zip(pieces, index, strict=True)}
        return State(newest, tuple(pieces), _LARGE)

    def _on_disk(self, state: State, names: dict[Piece, str]) -> State:
        """The state with all its pieces as files; tells their names."""
        pieces = []
        for piece in state.pieces:
            name, held = self._names.get(piece), piece
            if name is None:
                name = self._write(piece.passes)
                held = Piece(self._mapped(name), piece.level)
            names[held] = name
            pieces.append(held)
        return State(state.newest, tuple(pieces), state.large)

    def _write(self, passes: pa.Table) -> str:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, passes.schema) as writer:
            writer.write_table(passes)
        blob = sink.getvalue()
        name = blake2b(blob, digest_size=12).hexdigest()
        path = self._path(name)
        if not path.exists():
            with draft_of(path) as draft:
                draft.write_bytes(blob)
        return name

    def _mapped(self, name: str) -> pa.Table:
        try:
            return pa.ipc.open_file(pa.memory_map(str(self._path(name)))).read_all().cast(STATE_SCHEMA)
        except (OSError, pa.ArrowInvalid) as error:
            raise StateFormatError(f"{self._path(name)} cannot be read ({error}). {_MEND}") from error

    def _path(self, name: str) -> Path:
        return self._pieces / f"{name}.arrow"

    def _forget(self) -> None:
        """Removes what is older than the last version but one that tells all, and pieces that none names."""
        oldest = self._wholes[-2] if len(self._wholes) > 1 else self._wholes[0]
        for number in [one for one in self._kept if one < oldest]:
            del self._kept[number]
            for suffix in (_WHOLE, _CHANGE):
                (self._folder / f"{number}{suffix}").unlink(missing_ok=True)
        self._wholes = [one for one in self._wholes if one >= oldest]
        named = {self._path(name) for names in self._kept.values() for name in names}
        for path in [one for one in self._pieces.glob("*.arrow") if one not in named]:
            path.unlink()


@dataclass
class _Bytes:
    """Size of the last version that tells all, and of those behind it."""

    whole: int = 0
    changed: int = 0
    changes: int = 0

    def add(self, size: int, *, whole: bool) -> None:
        if whole:
            self.whole, self.changed, self.changes = size, 0, 0
        else:
            self.changed, self.changes = self.changed + size, self.changes + 1

    @property
    def suffice(self) -> bool:
        enough = self.changes >= _CHANGES and 2 * self.changed >= self.whole
        return enough or self.changes >= _MOST_CHANGES


def _index(state: State, names: dict[Piece, str]) -> list[tuple[str, int]]:
    return [(names[piece], piece.level) for piece in state.pieces]


def _apply(held: Tracked[Key, Value], changed: dict[Key, Any]) -> None:
    for key, value in changed.items():
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value


def _read(file: Path) -> _Version:
    with file.open("rb") as source:
        found = _unpickled(source)
        if found != CASEBOOK_FORMAT:
            raise StateFormatError(
                f"{file} has format {found}, this version reads {CASEBOOK_FORMAT}. {_MEND}"
            )
        version = _unpickled(source)
    if not isinstance(version, _Version):
        raise StateFormatError(f"{file} holds no version of a casebook. {_MEND}")
    return version


def _unpickled(source: BinaryIO) -> Any:
    try:
        return pickle.load(source)  # noqa: S301 - of our own checkpoint
    except _BROKEN as error:
        raise StateFormatError(f"{source.name} cannot be read ({type(error).__name__}). {_MEND}") from error


# What bytes can make of ``pickle``, see its page.
_BROKEN: Final = (
    pickle.UnpicklingError, EOFError, ValueError, AttributeError, ImportError, LookupError, TypeError,
    OverflowError, MemoryError,
)  # fmt: skip
_MEND: Final = (
    "Start the version that wrote it, or remove the checkpoint of the detection query; "
    "it then reads what Kafka still holds again."
)
