"""What runs in the Python workers of query ``detection``. Imports no store, so that a worker starts soon."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import blake2b
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle
from pyspark.sql.streaming.stateful_processor import TimerValues

from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import load_rules, no_rules
from kakou.detection.rules import Rules
from kakou.detection.state import (
    BATCH_SCHEMA,
    STATE_FORMAT,
    Piece,
    State,
    demand_format,
    from_bytes,
    to_bytes,
)
from kakou.detection.times import now_stamp, utc_now
from kakou.detection.verdicts import judge
from kakou.errors import BadInputError
from kakou.settings import Settings

OUTPUT: Final = "kind string, body string"
# To the millisecond: a shipper that was away sends hours of passes in seconds, over all partitions at once.
_ORDER: Final = ["moment", "partition", "offset"]


_INDEX: Final = "format int, newest bigint, pieces string"
_NAME, _PASSES = "name string", "passes binary"


class Buckets(StatefulProcessor):  # type: ignore[misc]  # pyspark is not typed here
    """What runs in a Python worker for each bucket of each batch; pickled once per query.

    Of each bucket Spark keeps an index, which names the pieces of its state, and the pieces. A worker keeps
    the pieces that it has seen, by name: what it reads of a full window with each batch is the index alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark before the first bucket of each batch."""
        self._index = handle.getValueState("index", _INDEX)
        self._pieces = handle.getMapState("pieces", _NAME, _PASSES)

    def handleInputRows(
        self, key: tuple[Any, ...], rows: Iterator[pd.DataFrame], timerValues: TimerValues
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with all passes of one bucket in one batch, in any order."""
        arrived = pd.concat(list(rows), ignore_index=True).sort_values(_ORDER, kind="stable")
        rules = current_rules(self._settings)
        after, found, counts = find_contradictions(self._read(key[0]), _as_batch(arrived), rules)
        self._write(key[0], after)
        now = now_stamp(utc_now(), self._settings.timezone)
        bodies = [one.to_json() for one in judge(found, rules, now)]
        kinds = ["counts"] + ["alert"] * len(bodies)
        yield pd.DataFrame({"kind": kinds, "body": [json.dumps(asdict(counts)), *bodies]})

    def close(self) -> None:
        """Called by Spark after the last bucket of each batch."""
        # Pieces come and go in all sizes; without this the pool keeps what it once needed.
        pa.default_memory_pool().release_unused()

    def _read(self, bucket: int) -> State:
        index = self._index.get()
        if index is None:
            _held[bucket] = {}
            return State()
        demand_format(index[0])
        held = _held.get(bucket, {})
        _held[bucket] = {
            name: held.get(name) or Piece(from_bytes(bytes(self._pieces.getValue((name,))[0])), level)
            for name, level in json.loads(index[2])
        }
        return State(index[1], tuple(_held[bucket].values()))

    def _write(self, bucket: int, state: State) -> None:
        before = _held[bucket]
        names = {id(piece): name for name, piece in before.items()}
        after: dict[str, Piece] = {}
        for piece in state.pieces:
            name = names.get(id(piece))
            if name is None:
                blob = to_bytes(piece.passes)
                name = blake2b(blob, digest_size=12).hexdigest()
                self._pieces.updateValue((name,), (blob,))
            after[name] = piece
        for name in before.keys() - after.keys():
            self._pieces.removeKey((name,))
        index = json.dumps([[name, piece.level] for name, piece in after.items()])
        self._index.update((STATE_FORMAT, state.newest, index))
        _held[bucket] = after


# Of this worker: pieces by bucket and name. A name says what is in a piece, so that a batch that is done
# again, or by another worker, finds what it would have read.
_held: dict[int, dict[str, Piece]] = {}


def _as_batch(arrived: pd.DataFrame) -> pa.Table:
    return pa.table(
        {name: pa.array(arrived[name], BATCH_SCHEMA.field(name).type) for name in BATCH_SCHEMA.names}
    )


_known: tuple[tuple[int, ...], Rules] | None = None


def current_rules(settings: Settings) -> Rules:
    """The rules of this worker, read again when a file has changed.

    A file that cannot be read does not stop the stream: the rules before it stay, or none while there are
    none.
    """
    global _known
    files = (settings.clean_dir / "kkmc_dimension.csv", settings.travel_times_file)
    changed = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
    if _known is None or _known[0] != changed:
        try:
            rules = load_rules(settings)
        except BadInputError as error:
            print(f"kakou: {error} Detection goes on with what it knew.", file=sys.stderr)
            rules = _known[1] if _known else no_rules(settings)
        _known = (changed, rules)
    return _known[1]
