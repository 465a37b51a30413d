"""The session as the jobs get it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil
from pyspark.sql import SparkSession


def children_of(pid: int, stop: threading.Event, seen: set[str]) -> None:
    """Names of the programs that a process starts, looked at every few milliseconds."""
    process = psutil.Process(pid)
    while not stop.is_set():
        for child in process.children(recursive=True):
            try:
                seen.add(child.name())
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.002)


def test_checkpoint_files_start_no_program(spark: SparkSession, tmp_path: Path) -> None:
    """Ten batches write some hundred small files; a `chmod` for each took half of the time of a batch."""
    jvm = next(one.pid for one in psutil.Process().children(recursive=True) if "java" in one.name())
    stop, seen = threading.Event(), set[str]()
    watch = threading.Thread(target=children_of, args=(jvm, stop, seen))
    watch.start()
    source, out, checkpoint = tmp_path / "in", tmp_path / "out", tmp_path / "checkpoint"
    source.mkdir()
    for number in range(10):
        (source / f"{number}.txt").write_text(f"line {number}\n", "utf-8")
    query = (
        spark.readStream.option("maxFilesPerTrigger", "1").text(str(source))
        .writeStream.format("parquet").option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True).start(str(out))
    )  # fmt: skip
    query.awaitTermination(120)
    stop.set()
    watch.join()
    assert spark.read.parquet(str(out)).count() == 10
    assert len(list((checkpoint / "commits").glob("[0-9]*"))) == 10
    assert not seen & {"chmod", "readlink", "stat"}  # who the user is, a shell is asked once


def test_the_jvm_keeps_few_heaps(spark: SparkSession) -> None:
    jvm = next(one.pid for one in psutil.Process().children(recursive=True) if "java" in one.name())
    environment = dict(
        pair.split("=", 1) for pair in Path(f"/proc/{jvm}/environ").read_text().split("\0") if "=" in pair
    )
    assert environment["MALLOC_ARENA_MAX"] == os.environ["MALLOC_ARENA_MAX"] == "2"
