"""The long-running stream: ``python -m spark_jobs.stream_passages``.

One Spark application with two queries on the topic of passes: ``ingest`` stores every record, ``detection``
warns of cloned plates. Each has its own checkpoint, so one may be behind without the other. Whatever fails
for longer than the retry cap ends the process with exit code 1, and the supervisor starts it again; SIGTERM
ends it with 0.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Final

import structlog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from kakou.connections import spark_kafka_options
from kakou.detection.memory import CASEBOOK_FORMAT
from kakou.errors import KakouError
from kakou.settings import Settings, load_settings
from spark_jobs import detect, ingest
from spark_jobs.batch_boundary import BatchBoundary
from spark_jobs.casebook_store import casebook_of
from spark_jobs.checkpoint import checkpoint_of, query_id
from spark_jobs.offset_log import OffsetLog
from spark_jobs.progress import ProgressListener
from spark_jobs.session import build_session
from spark_jobs.sinks.patience import STOPPING, patiently
from spark_jobs.slices import parsed
from sql.migrate import demand_newest

_LOG = structlog.get_logger("kakou.stream")
# As soon as there is something, but no oftener: a batch has a fixed cost, and two cores are shared with all
# the rest.
_EVERY: Final = "1 second"
_QUERIES: Final = (ingest.QUERY, detect.QUERY)
# Detection writes little, so that what it costs a batch is most of what a small one takes.
_LARGER: Final = 3
_PROPERTIES: Final = {
    "spark.scheduler.mode": "FAIR",
    "spark.sql.streaming.stopTimeout": "15s",
}
_LEDGER_FORMAT: Final = 1
_GRACE_S: Final = 20
# What Spark and Kafka say when offsets that were to be read are gone.
_RECORDS_GONE: Final = re.compile(r"DATA_LOSS|OffsetOutOfRange|data may have been lost|failOnDataLoss")
_PYTHON_ERROR: Final = re.compile(r"(?!org\.|java\.|py4j\.Py4J)[\w.]+(Error|Exception): ")


def run(settings: Settings, stop: threading.Event) -> int:
    """Runs both queries until one fails or ``stop`` is set; returns the exit code."""
    # Patiently: a process that ends at once is not started again for long.
    patiently(settings, "Comparing the schema of the nodes", lambda: demand_newest(settings))
    ingest_folder = checkpoint_of(settings, ingest.QUERY, {"ledger": _LEDGER_FORMAT})
    detection_folder = checkpoint_of(settings, detect.QUERY, {"casebook": CASEBOOK_FORMAT})
    casebook = casebook_of(detection_folder)
    spark = build_session(settings, "stream", extra=_PROPERTIES)
    listener = ProgressListener(settings)
    spark.streams.addListener(listener)
    detection = detect.Detection(settings, partial(query_id, detection_folder), casebook)
    store = ingest.Ingest(
        settings,
        lambda: f"{ingest.QUERY}-{query_id(ingest_folder)}",
        OffsetLog(ingest_folder, settings.topic),
    )
    try:
        boundary = BatchBoundary(stop)
        stored = boundary.guard(ingest.QUERY, store)
        warned = boundary.guard(detect.QUERY, detection)
        passes = {query: read_topic(spark, settings, query) for query in _QUERIES}
        queries = [
            _start(spark, parsed(passes[ingest.QUERY]), ingest.QUERY, str(ingest_folder), stored),
            _start(spark, detect.passes(passes[detect.QUERY]), detect.QUERY, str(detection_folder), warned),
        ]
        _LOG.info("started", queries=[query.name for query in queries])
        failed = _watch(queries, stop, detection.tend)
        if not failed:
            _stop(queries, boundary)
        return int(failed)
    finally:
        store.close()
        detection.close()
        listener.close()
        if not stop.is_set():
            spark.stop()


def most_records(settings: Settings, query: str) -> int:
    """Records that a micro-batch of a query takes at most.

    Ingest takes a batch of any size in slices. The detector looks at a whole one at once, so its own is
    bounded by what the stream may hold.

    >>> settings = Settings(max_offsets_per_trigger=1_000_000, slice_records=50_000)
    >>> [most_records(settings, query) for query in ("ingest", "detection")]
    [1000000, 150000]
    """
    if query == detect.QUERY:
        return _LARGER * min(settings.max_offsets_per_trigger, settings.slice_records)
    return settings.max_offsets_per_trigger


def read_topic(spark: SparkSession, settings: Settings, query: str) -> DataFrame:
    """The topic of passes from its beginning, as a query reads it. Records that Kafka dropped unread stop it,
    never skipped."""
    reader = spark.readStream.format("kafka").options(**spark_kafka_options(settings))
    return (
        reader.option("subscribe", settings.topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", str(most_records(settings, query)))
        .load()
    )


def _start(
    spark: SparkSession,
    frame: DataFrame,
    name: str,
    checkpoint: str,
    sink: Callable[[DataFrame, int], None],
) -> StreamingQuery:
    # A pool for each, so that the small steps of one need not wait behind all of the other's.
    spark.sparkContext.setLocalProperty("spark.scheduler.pool", name)
    return (
        frame.writeStream.queryName(name)
        .option("checkpointLocation", checkpoint)
        .trigger(processingTime=_EVERY)
        .foreachBatch(sink)
        .start()
    )


def _watch(queries: list[StreamingQuery], stop: threading.Event, tend: Callable[[], None]) -> bool:
    """Waits for ``stop``; returns True as soon as a query has failed."""
    while not stop.wait(0.5):
        tend()
        for query in queries:
            if not query.isActive:
                _LOG.error("query_ended", query=query.name, why=_reason(query))
                return True
    return False


def _stop(queries: list[StreamingQuery], boundary: BatchBoundary) -> None:
    """Stops each query between two batches; one that takes too long is broken off, which is safe too: it is
    only done again."""
    _LOG.info("stopping")
    give_up = time.monotonic() + _GRACE_S
    for query in queries:
        while not boundary.rests(query.name) and query.isActive and query.status["isTriggerActive"]:
            if time.monotonic() > give_up:
                break
            time.sleep(0.05)
        if not boundary.rests(query.name):
            query.stop()


def _reason(query: StreamingQuery) -> str:
    error = query.exception()
    if _RECORDS_GONE.search(str(error)):
        return (
            "Kafka no longer holds records that this query has not read, and none is left out in silence. "
            "`kakou ledger check` tells what was handled. To go on with what Kafka still holds, remove "
            f"the checkpoint {query.name} under KAKOU_VAR/checkpoint; nothing is stored twice."
        )
    lines = [line.strip() for line in str(error or "it was stopped").splitlines() if line.strip()]
    # A Python error inside a batch comes back as a whole traceback; its last line says what happened.
    ours = [line for line in lines if _PYTHON_ERROR.match(line)]
    return (ours or lines)[-1 if ours else 0][:600]


def main() -> None:
    """Entry point: an error that we foresaw is one sentence and exit code 1."""
    stop = STOPPING

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    try:
        code = run(load_settings(), stop)
    except KakouError as error:
        print(f"kakou: {error}", file=sys.stderr)
        code = 1
    except Exception:
        # Where the whole group is ended, the JVM may go before our last call to it.
        if not stop.is_set():
            raise
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    if stop.is_set():
        os._exit(code)  # a batch that is held at its beginning would be waited for
    sys.exit(code)


if __name__ == "__main__":
    main()
