"""F4 and F16 for the shipper, at their full length: the broker away for minutes, a storm in the network."""

import os
import random
import signal
import threading
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
from kakou.settings import PORTS

pytestmark = pytest.mark.chaos
DAY = date(2024, 1, 15)


@pytest.fixture(autouse=True)
def no_shipper_left():
    yield
    end_all()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with OwnBroker(tmp_path_factory.mktemp("own-broker") / "var") as own:
        yield own


@pytest.fixture
def place(broker, tmp_path, request):
    """Settings of a shipper behind the proxy, with a log of its own."""
    broker.proxy.heal()
    own = own_place(broker.settings, tmp_path, f"chaos-{abs(hash(request.node.name))}-{os.getpid()}")
    return own.model_copy(update={"port_offset": broker.proxy.port - PORTS["kafka"]})


class Writer(threading.Thread):
    """Writes up to 1,000 lines a second into a log that begins a new file after so many, until it is stopped.

    Where the shipper is killed, the three files of the log must outlast its start.
    """

    def __init__(self, place, lines_a_file=1_000):
        super().__init__(daemon=True)
        self._log = PassLog(place.sim_dir / "passes.log", cap_bytes=48 * lines_a_file)
        self._end = threading.Event()
        self.lines = []

    def run(self):
        while not self._end.wait(0.1):
            some = lines_of(len(self.lines), 100)
            self._log.append(some, DAY)
            self.lines += some

    def stop(self):
        self._end.set()
        self.join()


def proven(process, place, writer, row):
    """Waits until all is shipped, and looks at each line; notes the time that took."""
    began = time.monotonic()
    writer.stop()
    wait_until(lambda: ends(place) >= len(writer.lines), seconds=240)
    row.recovery_s, row.records = time.monotonic() - began, len(writer.lines)
    process.send_signal(signal.SIGTERM)
    counts = finish(process)
    finish(start(place, "--once"))
    row.lost = row.doubled = 0
    try:
        assert_once(place, writer.lines)
    except AssertionError:
        row.lost = row.doubled = None
        raise
    assert counts["dropped_files"] == counts["cut_bytes"] == 0
    return counts


def test_a_broker_killed_for_two_minutes(broker, place, outcomes):
    with outcomes.of("F4", "broker kill -9, away for 120 s, the log rotates a hundred times") as row:
        writer, process = Writer(place), watching(place)
        writer.start()
        wait_until(lambda: ends(place) > 2000)
        broker.kill()
        time.sleep(120)
        assert process.poll() is None and status(place)["spool_files"] > 60
        broker.start()
        proven(process, place, writer, row)


def test_a_broker_frozen_for_forty_seconds_and_killed_at_once(broker, place, outcomes):
    with outcomes.of("F4", "broker frozen 40 s, resumed 1 s, kill -9, restarted") as row:
        writer, process = Writer(place), watching(place)
        writer.start()
        wait_until(lambda: ends(place) > 2000)
        broker.freeze()
        time.sleep(40)
        broker.resume()
        time.sleep(1)
        broker.kill()
        broker.start()
        proven(process, place, writer, row)


def test_broker_and_shipper_killed_in_turns(broker, place, outcomes):
    with outcomes.of("F4", "broker and shipper kill -9 in turns, 5 times each") as row:
        draw = random.Random(outcomes.seed)
        writer, process = Writer(place, lines_a_file=20_000), watching(place)
        writer.start()
        wait_until(lambda: ends(place) > 2000)
        for _ in range(5):
            time.sleep(draw.uniform(0.5, 4))
            broker.kill()
            time.sleep(draw.uniform(0, 3))
            process.kill()
            process.communicate()
            process = start(place)
            time.sleep(draw.uniform(0, 3))
            broker.start()
        proven(process, place, writer, row)


def test_a_storm_in_the_network(broker, place, outcomes):
    with outcomes.of("F16", "40 faults of the network to the broker, shipper kill -9 in every eighth") as row:
        draw, proxy = random.Random(outcomes.seed), broker.proxy
        writer, process = Writer(place, lines_a_file=20_000), watching(place)
        writer.start()
        wait_until(lambda: ends(place) > 2000)
        for n in range(40):
            draw.choice(
                [
                    proxy.cut,
                    proxy.sever,
                    proxy.half_close,
                    proxy.lose_answers,
                    lambda: proxy.delay(draw.uniform(0.05, 1)),
                    lambda: proxy.throttle(draw.uniform(5_000, 200_000)),
                ]
            )()
            time.sleep(draw.uniform(0.2, 4) if n % 10 else 15)
            if n % 8 == 7:
                process.kill()
                process.communicate()
                process = start(place)
            proxy.heal()
            time.sleep(draw.uniform(0, 2))
        proven(process, place, writer, row)
