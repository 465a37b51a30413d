"""What the tests of the shipper share: a place of its own, the process, and what the topic holds at last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from kakou.connections import kafka_options
from kakou.settings import Settings

PARTITIONS = 4
_started: list[subprocess.Popen[str]] = []


def own_place(settings: Settings, folder: Path, topic: str) -> Settings:
    """Settings with a log and positions of their own under ``folder`` and a topic that no other test uses."""
    make_topic(settings, topic)
    var = folder / "var"
    var.mkdir()
    # The stack's secrets open the broker; everything else is this test's own.
    (var / "secrets").symlink_to(settings.secrets_dir)
    return settings.model_copy(update={"var": var, "topic": topic})


def make_topic(settings: Settings, topic: str, **configs: str) -> None:
    """Creates an empty topic; for a dot in a name of ``configs`` stands an underscore.

    Tries for a moment, as one of the same name may just be going.
    """
    client = KafkaAdminClient(**kafka_options(settings))
    until = time.monotonic() + 20
    try:
        while True:
            try:
                wanted = {name.replace("_", "."): value for name, value in configs.items()}
                client.create_topics(
                    [NewTopic(topic, PARTITIONS, 1, topic_configs=wanted)], timeout_ms=20_000
                )
                return
            except Exception:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
    finally:
        client.close()


def start(settings: Settings, *options: str, **more: str) -> subprocess.Popen[str]:
    """``kakou ship --json`` with these settings; ``more`` are further environment variables."""
    environment = {
        **os.environ,
        "KAKOU_VAR": str(settings.var),
        "KAKOU_PORT_OFFSET": str(settings.port_offset),
        "KAKOU_TOPIC": settings.topic,
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "kakou.cli", "ship", "--json", *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _started.append(process)
    return process


def end_all() -> None:
    """Kills what a failed test has left running."""
    while _started:
        process = _started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def watching(settings: Settings, **more: str) -> subprocess.Popen[str]:
    """Like ``start``, and it watches the log already, so that no rotation escapes it."""
    spool = settings.ship_dir / "spool"
    process = start(settings, **more)
    wait_until(lambda: process.poll() is not None or spool.is_dir(), seconds=60)
    return process


def finish(process: subprocess.Popen[str], timeout: float = 90) -> dict[str, int]:
    """Its counts, once it has ended well; what it logged stays in ``process.said``."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    process.said = err  # type: ignore[attr-defined]
    counts: dict[str, int] = json.loads(out.splitlines()[-1])
    return counts


def shipped(settings: Settings) -> list[tuple[int, bytes, bytes]]:
    """All records of the topic: (partition, key, value), in order within each partition."""
    consumer = KafkaConsumer(**kafka_options(settings), enable_auto_commit=False)
    partitions = [TopicPartition(settings.topic, n) for n in range(PARTITIONS)]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    records: list[tuple[int, bytes, bytes]] = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for some in consumer.poll(timeout_ms=500).values():
            records += [(record.partition, record.key, record.value) for record in some]
    consumer.close()
    return records


def ends(settings: Settings) -> int:
    """How many records the topic ever got."""
    consumer = KafkaConsumer(**kafka_options(settings), enable_auto_commit=False)
    partitions = [TopicPartition(settings.topic, n) for n in range(PARTITIONS)]
    total: int = sum(consumer.end_offsets(partitions).values())
    consumer.close()
    return total


def status(settings: Settings) -> dict[str, Any]:
    """The status file."""
    answer: dict[str, Any] = json.loads((settings.ship_dir / "status.json").read_text(encoding="utf-8"))
    return answer


def lines_of(first: int, count: int) -> list[bytes]:
    """Lines of 250 plates that sort in the order of writing."""
    return [
        b"id%08d\td\tG1\t1\t2024-01-15 08:00:00\t02\tP%03d\tb" % (n, n % 250)
        for n in range(first, first + count)
    ]


def assert_once(settings: Settings, written: Iterable[bytes]) -> None:
    """Every line is in the topic, none twice, and those of one plate are in one partition in their order."""
    records, wanted = shipped(settings), set(written)
    got = [value for _, _, value in records]
    assert len(got) == len(set(got)), f"{len(got) - len(set(got))} lines are doubled"
    assert set(got) == wanted, f"{len(wanted - set(got))} lost, {len(set(got) - wanted)} from nowhere"
    last: dict[bytes, tuple[int, bytes]] = {}
    for partition, key, value in records:
        if key.startswith(b"P"):
            before = last.get(key, (partition, b""))
            assert before[0] == partition, f"{key!r} lies in two partitions"
            assert before[1] < value, f"{value!r} came after {before[1]!r}"
            last[key] = (partition, value)


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    """Waits for something that a test knows must come."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
