"""Second stage of query ``detection``, in a Python worker: one verdict for each plate with contradictions.

There is one key, so one worker does it in each batch, but not always the same one. Spark keeps what is
remembered; a worker keeps a copy, and reads before each batch what the batches that others did have changed.
"""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar
from uuid import uuid4

import pandas as pd
import polars as pl
import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle
from pyspark.sql.streaming.stateful_processor import TimerValues

from kakou.detection.casebook import CASEBOOK_FORMAT, Casebook, Memory, Record, Told
from kakou.detection.clocks import Clocks
from kakou.detection.contradictions import CONTRADICTION_SCHEMA, Counts
from kakou.detection.horizon import Past
from kakou.detection.state import NO_TIME, STATE_SCHEMA, demand_format
from kakou.detection.times import now_stamp, utc_now
from kakou.detection.tracks import has_kept_tracks
from kakou.settings import Settings
from spark_jobs.current_rules import Known, current_rules
from spark_jobs.piece_store import PIECES_SCHEMA, PieceStore

OUTPUT: Final = "kind string, body string, tracks string"
_LARGE: Final = 200_000
# A worker that was away for more batches reads everything again.
_REMEMBERED: Final = 64
Key = TypeVar("Key")
Value = TypeVar("Value")
# Few states, as each costs a question to Spark in each batch.
_BOOK: Final = "format int, newest bigint, gates string, turns string, passes string, sample string"
_RECORD, _BLOCK = "r", "b"


class Verdicts(StatefulProcessor):  # type: ignore[misc]  # pyspark is not typed here
    """What runs for each batch; pickled once per query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark before each batch."""
        self._index = handle.getValueState("book", _BOOK)
        pieces = handle.getMapState("pieces", *PIECES_SCHEMA)
        self._passes, self._sample = (PieceStore(pieces, name, _LARGE) for name in ("passes", "sample"))
        # Records by plate and clocks by block, told apart by their first letter.
        self._held = handle.getMapState("kept", "name string", "what binary")

    def handleInputRows(
        self, key: tuple[Any, ...], rows: Iterator[pd.DataFrame], timerValues: TimerValues
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with what all buckets gave in one batch."""
        given = pd.concat(list(rows), ignore_index=True)
        counts = sum((Counts(**json.loads(one)) for one in given["counts"]), Counts())
        book, turns = self._book()
        told = book.take(
            _together(given["fresh"], STATE_SCHEMA),
            pl.DataFrame(pl.from_arrow(_together(given["found"], _FOUND))),
            int(given["newest"].max()),
        )
        self._write(turns)
        yield _rows(counts, told)

    def close(self) -> None:
        """Called by Spark after each batch."""
        pa.default_memory_pool().release_unused()

    def _book(self) -> tuple[Casebook, deque[_Turn]]:
        """The casebook of this worker, brought to where the batch before has left it."""
        global _kept
        known = current_rules(self._settings)
        index = self._index.get()
        turns: deque[_Turn] = deque(maxlen=_REMEMBERED)
        newest, gates = NO_TIME, ()
        passes_index = sample_index = None
        if index is not None:
            demand_format(index[0])
            newest, gates = index[1], tuple(json.loads(index[2]))
            passes_index, sample_index = index[4], index[5]
            turns.extend(_Turn(*one) for one in json.loads(index[3]))
        passes = self._passes.read(0, passes_index, newest)
        sample = self._sample.read(0, sample_index, newest)
        behind = _behind(turns)
        if _kept is None or behind is None:
            records, blocks = _Tracked[str, Record](), _Tracked[int, Clocks]()
            memory = Memory(passes, sample, newest, records, blocks, gates)
            for (name,), (blob,) in self._held.iterator() if index is not None else ():
                if name[0] == _RECORD:
                    records[name[1:]] = _loaded(bytes(blob))
                else:
                    blocks[int(name[1:])] = _loaded(bytes(blob))
            _kept = _Kept("", memory, records, blocks, None, None)
        else:
            memory = _kept.memory
            memory.passes, memory.sample, memory.newest, memory.gates = passes, sample, newest, gates
            for turn in behind:
                for plate in turn.records:
                    _put(_kept.records, plate, self._read(f"{_RECORD}{plate}"))
                for block in turn.blocks:
                    _put(_kept.blocks, block, self._read(f"{_BLOCK}{block}"))
        # Until this batch is written; should it fail halfway, everything is read again.
        _kept.turn = ""
        _kept.records.clean()
        _kept.blocks.clean()
        if _kept.book is None or _kept.known is not known or gates != known.rules.gates:
            _kept.book = Casebook(memory, known.rules, known.knowledge, Past(), self._stamp)
            _kept.known = known
        elif behind:
            _kept.book.caught_up({plate for turn in behind for plate in turn.records})
        return _kept.book, turns

    def _read(self, name: str) -> Any:
        held = self._held.getValue((name,)) if self._held.containsKey((name,)) else None
        return None if held is None else _loaded(bytes(held[0]))

    def _keep(self, name: str, what: object | None) -> None:
        if what is not None:
            self._held.updateValue((name,), (pickle.dumps(what, 5),))
        elif self._held.containsKey((name,)):
            self._held.removeKey((name,))

    def _write(self, turns: deque[_Turn]) -> None:
        assert _kept is not None
        memory = _kept.memory
        passes, sample = self._passes.write(0, memory.passes), self._sample.write(0, memory.sample)
        for plate in _kept.records.changed:
            self._keep(f"{_RECORD}{plate}", _kept.records.get(plate))
        for block in _kept.blocks.changed:
            self._keep(f"{_BLOCK}{block}", _kept.blocks.get(block))
        turn = _Turn(uuid4().hex, sorted(_kept.records.changed), sorted(_kept.blocks.changed))
        turns.append(turn)
        gates = json.dumps(memory.gates, ensure_ascii=False)
        told = json.dumps([[one.name, one.records, one.blocks] for one in turns], ensure_ascii=False)
        self._index.update((CASEBOOK_FORMAT, memory.newest, gates, told, passes, sample))
        _kept.turn = turn.name

    def _stamp(self, _seconds: int) -> str:
        return now_stamp(utc_now(), self._settings.timezone)


@dataclass(frozen=True)
class _Turn:
    """A batch, and what it has changed."""

    name: str
    records: list[str]
    blocks: list[int]


class _Tracked(dict[Key, Value]):
    """A dictionary that knows what was changed in it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[Key] = set()

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        self.changed.add(key)

    def __delitem__(self, key: Key) -> None:
        super().__delitem__(key)
        self.changed.add(key)

    def clean(self) -> None:
        """What was changed until now counts no longer."""
        self.changed = set()


@dataclass
class _Kept:
    """Of this worker: its copy of what Spark keeps, as the batch ``turn`` has left it."""

    turn: str
    memory: Memory
    records: _Tracked[str, Record]
    blocks: _Tracked[int, Clocks]
    book: Casebook | None
    known: Known | None


def _rows(counts: Counts, told: Sequence[Told]) -> pd.DataFrame:
    """The columns of ``OUTPUT``: first what was counted, then the alerts, in their order."""
    rows: list[tuple[str, str, str | None]] = [("counts", json.dumps(asdict(counts)), None)]
    for alert, tracks in told:
        rows.append(("alert", alert.to_json(), tracks.to_json() if has_kept_tracks(alert) else None))
    return pd.DataFrame(rows, columns=["kind", "body", "tracks"])


_kept: _Kept | None = None
_FOUND: Final = (
    pl.DataFrame(schema=CONTRADICTION_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
)


def _behind(turns: deque[_Turn]) -> list[_Turn] | None:
    """Batches that this worker has not seen; None if nobody knows which."""
    if _kept is None:
        return None
    names = [one.name for one in turns]
    if _kept.turn not in names:
        return None
    return list(turns)[names.index(_kept.turn) + 1 :]


def _put(held: dict[Key, Value], key: Key, value: Value | None) -> None:
    if value is None:
        held.pop(key, None)
    else:
        held[key] = value


def _loaded(blob: bytes) -> Any:
    return pickle.loads(blob)  # noqa: S301 - of our own checkpoint, whose format was compared before


def _together(blobs: pd.Series, schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(bytes(blob)).read_all() for blob in blobs]
    return pa.concat_tables([one.cast(schema) for one in tables if len(one)] or [schema.empty_table()])
