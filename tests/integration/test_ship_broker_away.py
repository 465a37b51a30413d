"""The shipper while its broker is frozen, killed and behind a bad network; the log rotates all the while."""

import os
import signal
import time
from datetime import date

import pytest
from own_broker import OwnBroker
from shipping import (
    assert_once,
    end_all,
    ends,
    finish,
    lines_of,
    own_place,
    start,
    status,
    wait_until,
    watching,
)

from etl.io.pass_log import PassLog
from etl.ship.log_file import Line
from etl.ship.topic import abandon, open_producer, send
from kakou.settings import PORTS

pytestmark = pytest.mark.integration
DAY = date(2024, 1, 15)


@pytest.fixture(autouse=True)
def no_shipper_left():
    yield
    end_all()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    var = tmp_path_factory.mktemp("own-broker") / "var"
    with OwnBroker(var) as own:
        yield own


@pytest.fixture
def place(broker, tmp_path, request):
    """Settings of a shipper behind the proxy, with a log of its own."""
    broker.proxy.heal()
    own = own_place(broker.settings, tmp_path, f"away-{abs(hash(request.node.name))}-{os.getpid()}")
    return own.model_copy(update={"port_offset": broker.proxy.port - PORTS["kafka"]})


class Writer:
    """Writes a log that begins a new file with each batch."""

    def __init__(self, place):
        self.log = PassLog(place.sim_dir / "passes.log", cap_bytes=5_000)
        self.lines = []

    def write(self, seconds, batch=200, every=0.25):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            lines = lines_of(len(self.lines), batch)
            self.log.append(lines, DAY)
            self.lines += lines
            time.sleep(every)


def ended(process, place, writer):
    """Waits until all is in the topic, ends the shipper, and looks whether each line is there once."""
    wait_until(lambda: ends(place) >= len(writer.lines), seconds=60)
    process.send_signal(signal.SIGTERM)
    counts = finish(process)
    finish(start(place, "--once"))
    assert_once(place, writer.lines)
    return counts


def test_a_broker_frozen_and_then_killed_while_the_log_rotates(broker, place):
    writer, process = Writer(place), watching(place)
    writer.write(1)
    wait_until(lambda: ends(place) >= len(writer.lines))
    broker.freeze()
    try:
        writer.write(5)
        # About twenty batches, each a file, went through a log that keeps three.
        wait_until(lambda: status(place)["spool_files"] >= 5)
        assert process.poll() is None
    finally:
        broker.resume()
    writer.write(1)
    broker.kill()
    writer.write(3)
    broker.start()
    writer.write(1)
    counts = ended(process, place, writer)
    assert counts["lines"] + counts["known"] == len(writer.lines)
    assert counts["dropped_files"] == 0


def test_a_network_that_is_slow_cut_reset_and_half_closed(broker, place):
    writer, process = Writer(place), watching(place)
    writer.write(0.5)
    wait_until(lambda: ends(place) > 0)
    for fault in (
        lambda: broker.proxy.delay(0.2),
        lambda: broker.proxy.throttle(20_000),
        broker.proxy.cut,
        broker.proxy.sever,
        broker.proxy.half_close,
    ):
        fault()
        writer.write(1.5)
        broker.proxy.heal()
        writer.write(0.5)
    ended(process, place, writer)


def test_an_abandoned_producer_is_gone_at_once_with_all_that_it_had(broker, place):
    producer = open_producer(place)
    send(producer, place.topic, Line("1-a", 0, 2, b"1")).get(20)
    broker.proxy.cut()
    futures = [send(producer, place.topic, Line("1-a", n, n + 2, b"2")) for n in range(2, 4000, 2)]
    began = time.monotonic()
    abandon(producer)
    # The library's own close would have waited for answers, and given up without closing.
    assert time.monotonic() - began < 10
    assert all(future.is_done for future in futures) and not producer._sender.is_alive()


def test_a_shipper_killed_while_the_answers_are_lost_sends_nothing_twice(broker, place):
    writer, process = Writer(place), watching(place)
    writer.write(0.5)
    wait_until(lambda: ends(place) >= len(writer.lines))
    before = len(writer.lines)
    time.sleep(1.0)  # the positions are saved
    broker.proxy.lose_answers()
    writer.write(1)
    process.kill()
    process.communicate()
    broker.proxy.heal()
    arrived = ends(place) - before
    assert arrived > 0, "the requests did arrive"
    counts = finish(start(place, "--once"))
    assert counts["known"] == arrived
    assert counts["lines"] == len(writer.lines) - before - arrived
    assert_once(place, writer.lines)
