"""The test producer's log says of each attempt what became of it, also when it was killed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from logged_producer import LoggedProducer, passes, settle
from shipping import PARTITIONS, ends, make_topic, wait_until

from kakou.connections import kafka_options
from spark_jobs.producer_log import parse_attempts

pytestmark = pytest.mark.integration
PROGRAM = Path(__file__).parents[1] / "logged_producer.py"


@pytest.fixture
def place(stack, request):
    topic = f"logged-{abs(hash(request.node.name))}-{os.getpid()}"
    make_topic(stack, topic)
    return stack.model_copy(update={"topic": topic})


def start(place, log, *options):
    environment = {
        **os.environ,
        "KAKOU_VAR": str(place.var),
        "KAKOU_PORT_OFFSET": str(place.port_offset),
        "KAKOU_TOPIC": place.topic,
    }
    return subprocess.Popen([sys.executable, PROGRAM, "--log", log, *options], env=environment)


def attempts(log):
    with log.open(encoding="utf-8") as lines:
        return list(parse_attempts(lines))


def records(place):
    """Place to id of everything in the topic."""
    consumer = KafkaConsumer(**kafka_options(place), enable_auto_commit=False)
    partitions = [TopicPartition(place.topic, n) for n in range(PARTITIONS)]
    last = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found = {}
    while any(consumer.position(one) < last[one] for one in partitions):
        for some in consumer.poll(timeout_ms=500).values():
            found |= {(one.partition, one.offset): one.value.split(b"\t")[0].decode() for one in some}
    consumer.close()
    return found


def test_each_attempt_has_a_line_with_its_place(place, tmp_path):
    log = tmp_path / "attempts.jsonl"
    with LoggedProducer(place, log) as producer:
        producer.send("one", b"k", b"one\tx")
        producer.send("one", b"k", b"one\tx")
        producer.send("huge", b"k", os.urandom(3_000_000))
    told = attempts(log)
    assert Counter((one.id, one.status) for one in told) == {("one", "ok"): 2, ("huge", "failed"): 1}
    assert records(place) == {(one.partition, one.offset): "one" for one in told if one.status == "ok"}


def test_a_killed_producer_leaves_ok_and_unknown_and_goes_on_where_it_was(place, tmp_path):
    log = tmp_path / "attempts.jsonl"
    process = start(place, log, "--count", "4000", "--rate", "2000", "--seed", "7")
    wait_until(lambda: log.exists() and log.stat().st_size > 40_000, seconds=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with log.open("a", encoding="utf-8") as file:
        file.write('{"id": "half a li')
    settle(log)
    assert settle(log) == 0, "once is enough"
    done = len(attempts(log))
    assert 0 < done < 4000
    assert start(place, log, "--count", "4000", "--seed", "7", "--skip", str(done)).wait(60) == 0
    told = attempts(log)
    assert {one.id for one in told} == {id_ for id_, _, _ in passes(7, 4000, datetime(2024, 1, 15, 8))}
    assert len(told) == 4000
    found = records(place)
    ok = {(one.partition, one.offset): one.id for one in told if one.status == "ok"}
    assert ok.items() <= found.items()
    unknown = {one.id for one in told if one.status == "unknown"}
    assert set(found.values()) - set(ok.values()) <= unknown
    assert len(found) == ends(place)
