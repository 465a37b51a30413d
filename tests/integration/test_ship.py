"""The shipper against a real broker: no line lost, none doubled, whatever is killed or frozen."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date

import psutil
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from etl.io.pass_log import PassLog
from kakou.connections import kafka_options

pytestmark = pytest.mark.integration
DAY = date(2024, 1, 15)


@pytest.fixture
def place(stack, tmp_path, request):
    """Settings with a log and positions of their own and a topic that no other test uses."""
    topic = f"ship-{abs(hash(request.node.name))}-{os.getpid()}"
    client = KafkaAdminClient(**kafka_options(stack))
    client.create_topics([NewTopic(topic, 4, 1)], timeout_ms=20_000)
    client.close()
    var = tmp_path / "var"
    var.mkdir()
    # The stack's secrets open the broker; everything else is this test's own.
    (var / "secrets").symlink_to(stack.secrets_dir)
    return stack.model_copy(update={"var": var, "topic": topic})


def start(settings, *options):
    environment = {
        **os.environ,
        "KAKOU_VAR": str(settings.var),
        "KAKOU_PORT_OFFSET": str(settings.port_offset),
        "KAKOU_TOPIC": settings.topic,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "kakou.cli", "ship", "--json", *options],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process, timeout=90):
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def shipped(settings):
    """All records of the topic: (partition, key, value), in order within each partition."""
    consumer = KafkaConsumer(**kafka_options(settings), enable_auto_commit=False)
    partitions = [TopicPartition(settings.topic, n) for n in range(4)]
    ends = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    records = []
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for some in consumer.poll(timeout_ms=500).values():
            records += [(record.partition, record.key, record.value) for record in some]
    consumer.close()
    return records


def lines_of(first, count):
    return [
        b"id%08d\td\tG1\t1\t2024-01-15 08:00:00\t02\tP%03d\tb" % (n, n % 250)
        for n in range(first, first + count)
    ]


def assert_once(settings, written):
    got = [value for _, _, value in shipped(settings)]
    assert len(got) == len(set(got)), f"{len(got) - len(set(got))} lines are doubled"
    assert set(got) == set(written), f"{len(set(written) - set(got))} lines are lost"


def wait_until(true, seconds=30):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def test_lines_arrive_as_they_are_keyed_by_plate_and_in_order(place):
    log = PassLog(place.sim_dir / "passes.log")
    odd = [
        b"no tabs at all",
        b"\xff\xfe\t\x00",
        b"a\tb\tc\td\te\tf\tPLATE",
        b"a\tb\tc\td\te\tf\t\tempty plate",
    ]
    log.append([*lines_of(0, 2000), *odd], DAY)
    assert finish(start(place, "--once"))["lines"] == 2004
    records = shipped(place)
    assert_once(place, [*lines_of(0, 2000), *odd])
    keys = {value: key for _, key, value in records}
    assert [keys[value] for value in odd] == [b"", b"", b"PLATE", b""]
    for plate in {key for _, key, _ in records if key.startswith(b"P0")}:
        own = [(partition, value) for partition, key, value in records if key == plate]
        assert len({partition for partition, _ in own}) == 1
        assert [value for _, value in own] == sorted(value for _, value in own)


def test_an_empty_line_is_shipped_too(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append([b"", b"x"], DAY)
    assert finish(start(place, "--once"))["lines"] == 2
    assert sorted(value for _, _, value in shipped(place)) == [b"", b"x"]


def test_it_waits_for_the_log_survives_rotation_and_ends_on_sigterm(place):
    process = start(place)
    time.sleep(1.0)
    assert process.poll() is None
    log, written = PassLog(place.sim_dir / "passes.log", cap_bytes=20_000), []
    for n in range(10):
        lines = lines_of(n * 500, 500)  # larger than the cap: each batch begins a new file
        log.append(lines, DAY)
        written += lines
        # Two files are kept, so the shipper may be one file behind, and is while this test looks.
        wait_until(lambda: len(shipped(place)) >= len(written) - 500)  # noqa: B023
    wait_until(lambda: len(shipped(place)) >= len(written))
    process.send_signal(signal.SIGTERM)
    assert finish(process)["lines"] == len(written)
    assert_once(place, written)
    assert finish(start(place, "--once"))["lines"] == 0


def test_kill_9_at_any_moment_loses_and_doubles_nothing(place):
    log, written = PassLog(place.sim_dir / "passes.log", cap_bytes=4_000_000), []
    for n in range(6):
        process = start(place)
        for _ in range(20):
            lines = lines_of(len(written), 500)
            log.append(lines, DAY)
            written += lines
            time.sleep(0.02)
        done = len(written) - 9_000
        wait_until(lambda: process.poll() is not None or len(shipped(place)) > done)  # noqa: B023
        time.sleep(0.037 * n)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(place, "--once"))
    assert_once(place, written)


def test_lost_positions_do_not_double_what_the_topic_holds(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 5000), DAY)
    finish(start(place, "--once"))
    (place.ship_dir / "positions.json").unlink()
    log.append(lines_of(5000, 10), DAY)
    counts = finish(start(place, "--once"))
    assert (counts["lines"], counts["known"]) == (10, 5000)
    assert_once(place, lines_of(0, 5010))


def test_a_truncated_log_is_read_from_its_new_beginning(place):
    process = start(place)
    path = place.sim_dir / "passes.log"
    PassLog(path).append(lines_of(0, 100), DAY)
    wait_until(lambda: len(shipped(place)) == 100)
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines_of(100, 300)))
    wait_until(lambda: len(shipped(place)) >= 400)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert_once(place, lines_of(0, 400))


def test_half_a_line_waits_for_its_end(place):
    path = place.sim_dir / "passes.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"whole\nhal")
    process = start(place)
    wait_until(lambda: len(shipped(place)) == 1)
    with path.open("ab") as file:
        file.write(b"f\n")
    wait_until(lambda: len(shipped(place)) == 2)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert sorted(value for _, _, value in shipped(place)) == [b"half", b"whole"]


def test_a_frozen_broker_is_waited_for(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 1000), DAY)
    process = start(place)
    wait_until(lambda: len(shipped(place)) == 1000)
    broker = psutil.Process(broker_pid(place))
    broker.suspend()
    try:
        for n in range(12):
            log.append(lines_of(1000 + n * 500, 500), DAY)
            time.sleep(1.0)
        assert process.poll() is None
    finally:
        broker.resume()
    wait_until(lambda: len(shipped(place)) >= 7000, seconds=60)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert_once(place, lines_of(0, 7000))


def broker_pid(settings):
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port == settings.port("kafka"):
            return one.pid
    raise AssertionError("no broker listens")


def test_a_line_reaches_kafka_within_a_tenth_of_a_second(place):
    process = start(place)
    log = PassLog(place.sim_dir / "passes.log")
    log.append([b"first"], DAY)
    wait_until(lambda: len(shipped(place)) == 1)
    consumer = KafkaConsumer(**kafka_options(place), enable_auto_commit=False, fetch_max_wait_ms=5)
    partitions = [TopicPartition(place.topic, n) for n in range(4)]
    consumer.assign(partitions)
    consumer.seek_to_end(*partitions)
    for partition in partitions:
        consumer.position(partition)
    delays = []
    for n in range(60):
        sent = time.perf_counter()
        log.append(lines_of(n, 1), DAY)
        while not consumer.poll(timeout_ms=20):
            assert time.perf_counter() - sent < 10
        delays.append(time.perf_counter() - sent)
    consumer.close()
    process.send_signal(signal.SIGTERM)
    finish(process)
    delays.sort()
    assert delays[len(delays) // 2] < 0.1, (
        f"median {delays[len(delays) // 2]:.3f} s, worst {delays[-1]:.3f} s"
    )


def test_a_line_that_no_broker_takes_is_set_aside_and_the_rest_goes_on(place):
    log = PassLog(place.sim_dir / "passes.log")
    huge = os.urandom(3_000_000).replace(b"\n", b" ")
    # Without a plate all of them share one partition, so that they are in flight together.
    small = [b"small %d" % n for n in range(60)]
    log.append([*small[:30], huge, *small[30:]], DAY)
    counts = finish(start(place, "--once"))
    assert (counts["lines"] + counts["known"], counts["too_large"]) == (60, 1)
    assert sorted(value for _, _, value in shipped(place)) == sorted(small)
    assert (place.ship_dir / "too_large.log").read_bytes() == huge + b"\n"


def test_a_second_shipper_is_refused(place):
    first = start(place)
    wait_until(lambda: (place.ship_dir / "ship.lock").exists())
    time.sleep(0.5)
    second = start(place)
    _, err = second.communicate(timeout=30)
    assert second.returncode == 1 and "Another `kakou ship`" in err
    first.send_signal(signal.SIGTERM)
    finish(first)
