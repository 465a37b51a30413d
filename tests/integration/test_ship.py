"""The shipper against a real broker: no line lost, none doubled, whatever is killed, cut or removed."""

import json
import os
import shutil
import signal
import time
from datetime import date

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from shipping import (
    PARTITIONS,
    assert_once,
    end_all,
    ends,
    finish,
    lines_of,
    make_topic,
    own_place,
    shipped,
    start,
    status,
    wait_until,
    watching,
)

from etl.io.pass_log import PassLog
from kakou.connections import kafka_options

pytestmark = pytest.mark.integration
DAY = date(2024, 1, 15)


@pytest.fixture(autouse=True)
def no_shipper_left():
    yield
    end_all()


@pytest.fixture
def place(stack, tmp_path, request):
    """Settings with a log and positions of their own and a topic that no other test uses."""
    return own_place(stack, tmp_path, f"ship-{abs(hash(request.node.name))}-{os.getpid()}")


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
        wait_until(lambda: ends(place) >= len(written) - 500)  # noqa: B023
    wait_until(lambda: ends(place) >= len(written))
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
        wait_until(lambda: process.poll() is not None or ends(place) > done)  # noqa: B023
        time.sleep(0.037 * n)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(place, "--once"))
    assert_once(place, written)


def test_what_was_rotated_away_comes_from_the_spool_and_the_status_says_how_far_it_is(place):
    log = PassLog(place.sim_dir / "passes.log", cap_bytes=1)
    away = place.model_copy(update={"port_offset": place.port_offset + 45})  # nobody listens there
    process, written = watching(away), []
    for n in range(8):
        log.append(lines_of(n * 50, 50), DAY)
        written += lines_of(n * 50, 50)
        wait_until(lambda: len(list((place.ship_dir / "spool").iterdir())) > n)  # noqa: B023
    wait_until(lambda: status(place)["spool_files"] == 5 and status(place)["behind_seconds"] > 0)
    behind = status(place)
    assert behind["unshipped_bytes"] == sum(len(line) + 1 for line in written)
    assert not behind["connected"]
    process.send_signal(signal.SIGTERM)
    assert finish(process)["unshipped_bytes"] == behind["unshipped_bytes"]
    counts = finish(start(place, "--once"))
    assert (counts["lines"], counts["dropped_files"], counts["unshipped_bytes"]) == (400, 0, 0)
    assert_once(place, written)
    assert len(list((place.ship_dir / "spool").iterdir())) == 1, "only the file that is written to stays"
    done = status(place)
    assert (done["unshipped_bytes"], done["spool_files"], done["behind_seconds"]) == (0, 0, 0)


def test_at_the_cap_the_counts_say_what_is_missing(place):
    log = PassLog(place.sim_dir / "passes.log", cap_bytes=1)
    away = place.model_copy(update={"port_offset": place.port_offset + 45})
    process = watching(away, KAKOU_SPOOL_GB="0")
    for n in range(6):
        log.append(lines_of(n * 10, 10), DAY)
        wait_until(lambda: any((place.ship_dir / "spool").glob(f"{n + 1:08d}-*")))  # noqa: B023
    wait_until(lambda: status(place)["dropped_files"] == 3)
    process.send_signal(signal.SIGTERM)
    counts = finish(process)
    assert counts["dropped_bytes"] == sum(len(line) + 1 for line in lines_of(0, 30))
    assert process.said.count("KAKOU_SPOOL_GB") == 3
    finish(start(place, "--once"))
    assert_once(place, lines_of(30, 30))


def test_lost_positions_do_not_double_what_the_topic_holds(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 5000), DAY)
    finish(start(place, "--once"))
    (place.ship_dir / "positions.json").unlink()
    log.append(lines_of(5000, 10), DAY)
    counts = finish(start(place, "--once"))
    assert (counts["lines"], counts["known"]) == (10, 5000)
    assert_once(place, lines_of(0, 5010))


def rewind(place, records, lines=50):
    """Takes the positions back, as if the process had been killed before the last saving: by so many lines in
    the log, and in the topic to what it held before the last ``records`` of each partition."""
    path = place.ship_dir / "positions.json"
    positions = json.loads(path.read_text())
    by = lines * (len(lines_of(0, 1)[0]) + 1)
    positions["files"] = {name: offset - by for name, offset in positions["files"].items()}
    ends_then = positions["topic"]["offsets"]
    for number in ends_then:
        ends_then[number] = max(0, ends_then[number] - records)
    path.write_text(json.dumps(positions))


def test_the_look_back_needs_no_limit_and_is_not_misled_by_other_producers(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 2000), DAY)
    finish(start(place, "--once"))
    rewind(place, records=500)
    others = KafkaProducer(**kafka_options(place), linger_ms=20)
    for n in range(12_000):
        # Records of a shipper elsewhere, whose files are not ours: more than one first look would reach.
        others.send(place.topic, b"other", partition=n % PARTITIONS, headers=[("src", b"1-abc:%d" % n)])
    others.flush()
    others.close()
    log.append(lines_of(2000, 10), DAY)
    counts = finish(start(place, "--once"))
    assert (counts["lines"], counts["known"]) == (10, 50)
    ours = [value for _, _, value in shipped(place) if value != b"other"]
    assert sorted(ours) == lines_of(0, 2010)


def test_records_that_retention_removed_bound_what_may_be_doubled(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 2000), DAY)
    finish(start(place, "--once"))
    rewind(place, records=500)
    client = KafkaAdminClient(**kafka_options(place))
    consumer = KafkaConsumer(**kafka_options(place))
    partitions = [TopicPartition(place.topic, n) for n in range(PARTITIONS)]
    client.delete_records({one: end - 5 for one, end in consumer.end_offsets(partitions).items()})
    client.close()
    consumer.close()
    process = start(place, "--once")
    counts = finish(process)
    assert "retention removed 495 records" in process.said
    assert counts["known"] + counts["lines"] == 50 and 0 < counts["known"] <= 5 * PARTITIONS
    left = [value for _, _, value in shipped(place)]
    assert len(left) == len(set(left)), "what the topic still holds is not doubled"


def test_a_topic_made_anew_gets_what_is_new(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 500), DAY)
    finish(start(place, "--once"))
    client = KafkaAdminClient(**kafka_options(place))
    client.delete_topics([place.topic])
    client.close()
    make_topic(place, place.topic)
    log.append(lines_of(500, 100), DAY)
    process = start(place, "--once")
    assert finish(process)["lines"] == 100
    assert "was made anew" in process.said
    assert_once(place, lines_of(500, 100))
    assert finish(start(place, "--once"))["lines"] == 0


def test_a_topic_made_anew_under_a_running_shipper_gets_each_line_once(place):
    log = PassLog(place.sim_dir / "passes.log")
    log.append(lines_of(0, 500), DAY)
    process = start(place)
    wait_until(lambda: ends(place) == 500)
    client = KafkaAdminClient(**kafka_options(place))
    client.delete_topics([place.topic])
    client.close()
    make_topic(place, place.topic)
    for n in range(5):
        log.append(lines_of(500 + n * 50, 50), DAY)
        time.sleep(0.2)
    wait_until(lambda: ends(place) >= 250)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert finish(start(place, "--once"))["lines"] == 0
    assert_once(place, lines_of(500, 250))


def test_copytruncate_neither_loses_nor_doubles_what_it_copied(place):
    path = place.sim_dir / "passes.log"
    PassLog(path).append(lines_of(0, 1000), DAY)
    finish(start(place, "--once"))
    PassLog(path).append(lines_of(1000, 1000), DAY)
    shutil.copyfile(path, path.with_name("passes.log.1"))
    os.truncate(path, 0)
    PassLog(path).append(lines_of(2000, 500), DAY)
    counts = finish(start(place, "--once"))
    assert (counts["lines"], counts["known"]) == (1500, 0)
    assert_once(place, lines_of(0, 2500))
    assert finish(start(place, "--once"))["lines"] == 0


def test_a_truncated_log_is_read_from_its_new_beginning(place):
    process = start(place)
    path = place.sim_dir / "passes.log"
    PassLog(path).append(lines_of(0, 100), DAY)
    wait_until(lambda: ends(place) == 100)
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines_of(100, 300)))
    wait_until(lambda: ends(place) >= 400)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert_once(place, lines_of(0, 400))


def test_half_a_line_waits_for_its_end(place):
    path = place.sim_dir / "passes.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"whole\nhal")
    process = start(place)
    wait_until(lambda: ends(place) == 1)
    with path.open("ab") as file:
        file.write(b"f\n")
    wait_until(lambda: ends(place) == 2)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert sorted(value for _, _, value in shipped(place)) == [b"half", b"whole"]


def test_a_line_reaches_kafka_within_a_tenth_of_a_second(place):
    process = start(place)
    log = PassLog(place.sim_dir / "passes.log")
    log.append([b"first"], DAY)
    wait_until(lambda: ends(place) == 1)
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


def test_a_short_line_that_the_topic_refuses_is_set_aside_too(place):
    small = place.model_copy(update={"topic": f"{place.topic}-small"})
    make_topic(small, small.topic, max_message_bytes="3000")
    log = PassLog(place.sim_dir / "passes.log")
    refused = [os.urandom(5000).replace(b"\n", b" ").replace(b"\t", b" ") for _ in range(2)]
    kept = [b"short %02d" % n for n in range(60)]
    log.append([*kept[:20], refused[0], *kept[20:40], refused[1], *kept[40:]], DAY)
    counts = finish(start(small, "--once"))
    assert (counts["lines"] + counts["known"], counts["too_large"]) == (60, 2)
    assert [value for _, _, value in shipped(small)] == kept, "one partition, so in the order of the log"


def test_a_second_shipper_is_refused(place):
    first = start(place)
    wait_until(lambda: (place.ship_dir / "ship.lock").exists())
    time.sleep(0.5)
    second = start(place)
    _, err = second.communicate(timeout=30)
    assert second.returncode == 1 and "Another `kakou ship`" in err
    first.send_signal(signal.SIGTERM)
    finish(first)
