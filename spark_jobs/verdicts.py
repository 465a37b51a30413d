"""Second stage of query ``detection``, in a Python worker: one verdict for each plate with contradictions.

There is one key, so one worker does it in each batch, but not always the same one. Spark keeps what is
remembered; a worker keeps a copy, and reads before each batch what the batches that others did have changed.
"""

from __future__ import annotations

import json
import pickle
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeVar
from uuid import uuid4

import pandas as pd
import polars as pl
import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle
from pyspark.sql.streaming.stateful_processor import TimerValues

from kakou.detection.casebook import CASEBOOK_FORMAT, Casebook, Memory, Record
from kakou.detection.clocks import Clocks
from kakou.detection.contradictions import CONTRADICTION_SCHEMA, Counts
from kakou.detection.horizon import Past
from kakou.detection.state import NO_TIME, STATE_SCHEMA, demand_format
from kakou.detection.times import now_stamp, utc_now
from kakou.settings import Settings
from spark_jobs.current_rules import Known, current_rules
from spark_jobs.piece_store import PieceStore

OUTPUT: Final = "kind string, body string"
_LARGE: Final = 200_000
# A worker that was away for more batches reads everything again.
_REMEMBERED: Final = 64
Key = TypeVar("Key")
Value = TypeVar("Value")
_TURNS: Final = "format int, newest bigint, gates string, turns string"


class Verdicts(StatefulProcessor):  # type: ignore[misc]  # pyspark is not typed here
    """What runs for each batch; pickled once per query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark before each batch."""
        self._passes = PieceStore(handle, "passes", _LARGE)
        self._sample = PieceStore(handle, "sample", _LARGE)
        self._turns = handle.getValueState("turns", _TURNS)
        self._records = handle.getMapState("records", "plate string", "record binary")
        self._blocks = handle.getMapState("blocks", "block bigint", "clocks binary")

    def handleInputRows(
        self, key: tuple[Any, ...], rows: Iterator[pd.DataFrame], timerValues: TimerValues
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with what all buckets gave in one batch."""
        given = pd.concat(list(rows), ignore_index=True)
        counts = sum((Counts(**json.loads(one)) for one in given["counts"]), Counts())
        book, turns = self._book()
        alerts = book.take(
            _together(given["fresh"], STATE_SCHEMA),
            pl.DataFrame(pl.from_arrow(_together(given["found"], _FOUND))),
            int(given["newest"].max()),
        )
        self._write(turns)
        bodies = [one.to_json() for one in alerts]
        kinds = ["counts"] + ["alert"] * len(bodies)
        yield pd.DataFrame({"kind": kinds, "body": [json.dumps(asdict(counts)), *bodies]})

    def close(self) -> None:
        """Called by Spark after each batch."""
        pa.default_memory_pool().release_unused()

    def _book(self) -> tuple[Casebook, deque[_Turn]]:
        """The casebook of this worker, brought to where the batch before has left it."""
        global _kept
        known = current_rules(self._settings)
        passes, sample = self._passes.read(0), self._sample.read(0)
        held = self._turns.get()
        turns: deque[_Turn] = deque(maxlen=_REMEMBERED)
        newest, gates = NO_TIME, ()
        if held is not None:
            demand_format(held[0])
            newest, gates = held[1], tuple(json.loads(held[2]))
            turns.extend(_Turn(*one) for one in json.loads(held[3]))
        behind = _behind(turns)
        if _kept is None or behind is None:
            records, blocks = _Tracked[str, Record](), _Tracked[int, Clocks]()
            memory = Memory(passes, sample, newest, records, blocks, gates)
            if held is not None:
                memory.records.update(
                    {plate: _loaded(blob) for (plate,), (blob,) in self._records.iterator()}
                )
                memory.blocks.update({n: _loaded(blob) for (n,), (blob,) in self._blocks.iterator()})
            _kept = _Kept("", memory, records, blocks, None, None)
        else:
            memory = _kept.memory
            memory.passes, memory.sample, memory.newest, memory.gates = passes, sample, newest, gates
            for turn in behind:
                self._catch_up(memory, turn)
        _kept.records.clean()
        _kept.blocks.clean()
        if _kept.book is None or _kept.known is not known:
            _kept.book = Casebook(memory, known.rules, known.knowledge, Past(), self._stamp)
            _kept.known = known
        elif behind:
            _kept.book.caught_up({plate for turn in behind for plate in turn.records})
        return _kept.book, turns

    def _catch_up(self, memory: Memory, turn: _Turn) -> None:
        for plate in turn.records:
            found = self._records.getValue((plate,)) if self._records.containsKey((plate,)) else None
            if found is None:
                memory.records.pop(plate, None)
            else:
                memory.records[plate] = _loaded(bytes(found[0]))
        for block in turn.blocks:
            memory.blocks[block] = _loaded(bytes(self._blocks.getValue((block,))[0]))

    def _write(self, turns: deque[_Turn]) -> None:
        assert _kept is not None
        memory = _kept.memory
        self._passes.write(0, memory.passes)
        self._sample.write(0, memory.sample)
        for plate in _kept.records.changed:
            if plate in memory.records:
                self._records.updateValue((plate,), (pickle.dumps(memory.records[plate], 5),))
            elif self._records.containsKey((plate,)):
                self._records.removeKey((plate,))
        for block in _kept.blocks.changed:
            self._blocks.updateValue((block,), (pickle.dumps(memory.blocks[block], 5),))
        turn = _Turn(uuid4().hex, sorted(_kept.records.changed), sorted(_kept.blocks.changed))
        turns.append(turn)
        gates = json.dumps(memory.gates, ensure_ascii=False)
        told = json.dumps([[one.name, one.records, one.blocks] for one in turns])
        self._turns.update((CASEBOOK_FORMAT, memory.newest, gates, told))
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


def _loaded(blob: bytes) -> Any:
    return pickle.loads(blob)  # noqa: S301 - of our own checkpoint, whose format was compared before


def _together(blobs: pd.Series, schema: pa.Schema) -> pa.Table:
    tables = [pa.ipc.open_stream(bytes(blob)).read_all() for blob in blobs]
    return pa.concat_tables([one.cast(schema) for one in tables if len(one)] or [schema.empty_table()])
