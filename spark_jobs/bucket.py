"""First stage of query ``detection``, in the Python workers: contradictions, by buckets of plates.

Imports no store, so that a worker starts soon.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle
from pyspark.sql.streaming.stateful_processor import TimerValues

from kakou.detection.contradictions import find_contradictions
from kakou.detection.state import BATCH_SCHEMA, NO_TIME, STATE_FORMAT, State, demand_format, to_bytes
from kakou.settings import Settings
from spark_jobs.current_rules import current_rules
from spark_jobs.piece_store import PIECES_SCHEMA, PieceStore

_INDEX: Final = "format int, newest bigint, pieces string"
OUTPUT: Final = "newest bigint, counts string, fresh binary, found binary"
# To the millisecond: a shipper that was away sends hours of passes in seconds, over all partitions at once.
_ORDER: Final = ["moment", "partition", "offset"]


class Buckets(StatefulProcessor):  # type: ignore[misc]  # pyspark is not typed here
    """What runs for each bucket of each batch; pickled once per query.

    Gives one row for each: newest time, counts as JSON, the passes that it took and the contradictions that
    it found, both as Arrow IPC.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark before the first bucket of each batch."""
        self._index = handle.getValueState("index", _INDEX)
        self._store = PieceStore(handle.getMapState("pieces", *PIECES_SCHEMA))

    def handleInputRows(
        self, key: tuple[Any, ...], rows: Iterator[pd.DataFrame], timerValues: TimerValues
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with all passes of one bucket in one batch, in any order."""
        arrived = pd.concat(list(rows), ignore_index=True).sort_values(_ORDER, kind="stable")
        rules = current_rules(self._settings).rules
        after, found, counts, fresh = find_contradictions(self._read(key[0]), _as_batch(arrived), rules)
        self._index.update((STATE_FORMAT, after.newest, self._store.write(key[0], after)))
        row = after.newest, json.dumps(asdict(counts)), to_bytes(fresh), to_bytes(found)
        yield pd.DataFrame([row], columns=["newest", "counts", "fresh", "found"])

    def close(self) -> None:
        """Called by Spark after the last bucket of each batch."""
        # Pieces come and go in all sizes; without this the pool keeps what it once needed.
        pa.default_memory_pool().release_unused()

    def _read(self, bucket: int) -> State:
        index = self._index.get()
        if index is None:
            return self._store.read(bucket, None, NO_TIME)
        demand_format(index[0])
        return self._store.read(bucket, index[2], index[1])


def _as_batch(arrived: pd.DataFrame) -> pa.Table:
    return pa.table(
        {name: pa.array(arrived[name], BATCH_SCHEMA.field(name).type) for name in BATCH_SCHEMA.names}
    )
