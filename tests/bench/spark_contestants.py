"""Spark's contestants: ``spark_contestants.py NAME JOB``, with the settings of the environment.

All read the same topic by the product's own reader, in batches of the same size, each as soon as the one
before is done.

``read`` parses every record and lets it go. ``ours`` is query ``detection`` as the product runs it, with
its tables. ``state-call`` is the obvious way: the state of each plate is Spark's, asked for once and written
once for each plate of each batch. Rows come as rows (``transformWithState``), or in ``state-call-pandas`` as
frames (``transformWithStateInPandas``).
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pandas as pd
from peers.contest import Told, read_job
from peers.contradict import Pass, Rule
from pyspark.sql import DataFrame, Row
from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle, StreamingQueryListener

from kakou.settings import Settings, load_settings
from spark_jobs import detect
from spark_jobs.checkpoint import checkpoint_of, query_id
from spark_jobs.session import build_session
from spark_jobs.stream_passages import _PROPERTIES, read_topic

Sink = Callable[[DataFrame, int], None]


class Telling(StreamingQueryListener):
    """Tells how far a query is after each of its batches."""

    def __init__(self, told: Told, topic: str) -> None:
        self._told, self._topic = told, topic

    def onQueryStarted(self, event: Any) -> None:
        """Nothing is handled yet."""

    def onQueryProgress(self, event: Any) -> None:
        """A batch has ended."""
        ends = json.loads(event.progress.sources[0].endOffset or "{}")
        self._told.counts = ends.get(self._topic, {})

    def onQueryIdle(self, event: Any) -> None:
        """Everything is handled."""

    def onQueryTerminated(self, event: Any) -> None:
        """It is over."""


class PerPlate(StatefulProcessor):
    """What runs for each plate of each batch."""

    def __init__(self, rule: dict[str, Any]) -> None:
        self._told_rule = rule

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark before the first plate of each batch."""
        self._rule = Rule(self._told_rule)
        self._kept = handle.getValueState("kept", "passes binary")

    def handleInputRows(self, key: tuple[str], rows: Iterator[Row], timerValues: Any) -> Iterator[Row]:
        """Called by Spark with all passes of one plate in one batch."""
        for first, second in self.pairs(key[0], rows):
            yield Row(plate=key[0], first=first, second=second)

    def pairs(self, plate: str, rows: Iterable[Any]) -> list[tuple[str, str]]:
        """What new passes complete; they are kept."""
        held = self._kept.get()
        kept: list[Pass] = pickle.loads(held[0]) if held else []
        found = []
        for row in rows:
            new = self._rule.pass_of(plate, row.t, row.gcxh, row.kkmc)
            pairs = self._rule.completes(kept, new) if new else None
            if new and pairs is not None:
                kept = self._rule.remembered(kept, new)
                found += pairs
        self._kept.update((pickle.dumps(kept, 5),))
        return found

    def close(self) -> None:
        """Called by Spark after the last plate of each batch."""


class PerPlateInPandas(PerPlate):
    """The same, where passes come as frames."""

    def handleInputRows(  # type: ignore[override]
        self, key: tuple[str], rows: Iterator[pd.DataFrame], timerValues: Any
    ) -> Iterator[pd.DataFrame]:
        """Called by Spark with all passes of one plate in one batch."""
        pairs = self.pairs(key[0], (row for frame in rows for row in frame.itertuples()))
        if pairs:
            found = pd.DataFrame(pairs, columns=["first", "second"])
            yield found.assign(plate=key[0])[["plate", "first", "second"]]


def read(source: DataFrame, settings: Settings, _told: Told, _job: dict[str, Any]) -> tuple[DataFrame, Sink]:
    """Every column is made, and nothing is kept."""

    def forget(rows: DataFrame, _number: int) -> None:
        rows.write.format("noop").mode("overwrite").save()

    return detect.passes(source), forget


def ours(source: DataFrame, settings: Settings, _told: Told, _job: dict[str, Any]) -> tuple[DataFrame, Sink]:
    """Query ``detection``, with table ``warnings`` and Redis."""
    folder = checkpoint_of(settings, detect.QUERY, {})
    return detect.passes(source), detect.Detection(settings, partial(query_id, folder), folder / "casebook")


def state_call(
    in_pandas: bool, source: DataFrame, settings: Settings, told: Told, job: dict[str, Any]
) -> tuple[DataFrame, Sink]:
    """Grouped by plate."""
    passes = detect.passes(source).select("hphm", "t", "gcxh", "kkmc")
    plates, output = passes.groupBy("hphm"), "plate string, first string, second string"
    if in_pandas:
        processor: PerPlate = PerPlateInPandas(job["rule"])
        found = plates.transformWithStateInPandas(processor, output, "Append", "None")
    else:
        found = plates.transformWithState(PerPlate(job["rule"]), output, "Append", "None")

    def note(rows: DataFrame, _number: int) -> None:
        for row in rows.collect():
            told.found(row.plate, [(row.first, row.second)])

    return found, note


# What Spark's own state is at its best with; ours needs none of it.
STATE = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
}

CONTESTANTS = {
    "read": read, "ours": ours, "state-call": partial(state_call, False),
    "state-call-pandas": partial(state_call, True),
}  # fmt: skip


def main() -> None:
    """Reads until it is ended."""
    name, job = sys.argv[1], read_job(sys.argv[2])
    settings, told = load_settings(_env_file=None), Told(job["out"])
    spark = build_session(settings, f"bench-{name}", extra=_PROPERTIES | STATE)
    spark.streams.addListener(Telling(told, settings.topic))
    frame, sink = CONTESTANTS[name](read_topic(spark, settings, detect.QUERY), settings, told, job)
    folder = settings.checkpoint_dir / (detect.QUERY if name == "ours" else name)
    query = (
        frame.writeStream.queryName(name)
        .option("checkpointLocation", str(folder))
        .trigger(processingTime="0 seconds")
        .foreachBatch(sink)
        .start()
    )
    query.awaitTermination()


if __name__ == "__main__":
    main()
