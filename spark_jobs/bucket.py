"""What runs in the Python workers of query ``detection``. Imports no store, so that a worker starts soon."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import pyarrow as pa
from pyspark.sql.streaming.state import GroupState

from kakou.detection.contradictions import find_contradictions
from kakou.detection.files import load_rules, no_rules
from kakou.detection.rules import Rules
from kakou.detection.state import BATCH_SCHEMA, STATE_FORMAT, empty_state, from_bytes, to_bytes
from kakou.detection.times import now_stamp, utc_now
from kakou.detection.verdicts import judge
from kakou.errors import BadInputError
from kakou.settings import Settings

OUTPUT: Final = "kind string, body string"
STATE: Final = "format int, passes binary"
# To the millisecond: a shipper that was away sends hours of passes in seconds, over all partitions at once.
_ORDER: Final = ["moment", "partition", "offset"]


class Bucket:
    """What runs in a Python worker for each bucket of each batch; pickled once per query."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(
        self, key: tuple[Any, ...], frames: Iterator[pd.DataFrame], state: GroupState
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with all passes of one bucket in one batch, in any order."""
        arrived = pd.concat(list(frames), ignore_index=True).sort_values(_ORDER, kind="stable")
        rules = current_rules(self._settings)
        before = from_bytes(bytes(state.get[1])) if state.exists else empty_state()
        after, found, counts = find_contradictions(before, _as_batch(arrived), rules)
        state.update((STATE_FORMAT, to_bytes(after)))
        now = now_stamp(utc_now(), self._settings.timezone)
        bodies = [one.to_json() for one in judge(found, rules, now)]
        kinds = ["counts"] + ["alert"] * len(bodies)
        yield pd.DataFrame({"kind": kinds, "body": [json.dumps(asdict(counts)), *bodies]})


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
