"""F2, F5, F17 and what else may befall the stream itself: killed, asked to stop, started by the supervisor,
cut off from its records, and given a batch that is larger than its memory."""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
from outcomes import Outcomes
from stream_process import QUERIES, Job, handled, topic_ends
from world import World

from kakou.connections import connect, node_names
from kakou.settings import Settings
from kakou.whole_files import write_text

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.spark]
KILLS = int(os.environ.get("KAKOU_CHAOS_KILLS", "20"))
RECORDS = int(os.environ.get("KAKOU_CHAOS_RECORDS", "50000"))
BACKLOG = int(os.environ.get("KAKOU_CHAOS_BACKLOG", "1000000"))
MARGIN_MIB = 120
SOONEST_S, LATEST_S, FIRST_GUESS_S = 0.1, 5.0, 20.0
GONE = "Kafka no longer holds records"
NewWorld = Callable[..., World]


@pytest.mark.timeout(120 + 60 * KILLS)
def test_kills_at_random(new_world: NewWorld, outcomes: Outcomes) -> None:
    """kill -9 of the driver, again and again, while records come; a loss of power is not proven by this."""
    world, dice = new_world("kills"), random.Random(outcomes.seed)
    with outcomes.of("F2", f"{KILLS} times kill -9 at random over {RECORDS:,} records") as row:
        job = world.start()
        feed = world.feed(world.plant(RECORDS), RECORDS / (KILLS * FIRST_GUESS_S))
        began, recoveries = time.monotonic(), []
        for number in range(1, KILLS + 1):
            time.sleep(dice.uniform(SOONEST_S, LATEST_S))
            job.kill()
            killed, held = time.monotonic(), topic_ends(world.settings)
            job = world.start()
            world.wait("what it held", lambda held=held: world.behind(held) == 0)
            recoveries.append(time.monotonic() - killed)
            # What is left is sent over the kills that are left.
            turn = (time.monotonic() - began) / number
            feed.rate = max(50.0, (RECORDS - feed.sent) / max(1.0, (KILLS - number) * turn))
        feed.rate = None
        world.recover(time.monotonic())
        row.recovery_s = statistics.median(recoveries)
        row.done += f"; slowest recovery {max(recoveries):.1f} s"
        world.prove(row)


def open_transactions(settings: Settings) -> int:
    """Transactions of the writer that are open on any node."""
    found = 0
    for node in node_names(settings):
        connection = connect(settings, node, "root")
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p "
                "ON p.id = t.trx_mysql_thread_id WHERE p.user = 'kakou_writer'"
            )
            found += cursor.fetchone()[0]
    return found


@pytest.mark.timeout(420)
def test_asked_to_stop_in_the_middle_of_a_batch(new_world: NewWorld, outcomes: Outcomes) -> None:
    world = new_world("stop", max_offsets_per_trigger=3_000, slice_records=1_000)
    with outcomes.of("stop", "SIGTERM in the middle of a batch") as row:
        world.send(12_000)
        job = world.start()
        deadline = time.monotonic() + 200
        while not open_transactions(world.settings):
            assert job.runs and time.monotonic() < deadline, job.tail()
            time.sleep(0.15)  # who asks again within 0.1 s is told the same again
        family, asked = job.family(), time.monotonic()
        job.process.send_signal(signal.SIGTERM)
        assert job.ended(family, 60) == 0, job.tail()
        row.done += f", ended after {time.monotonic() - asked:.1f} s"
        left = world.behind()
        assert left is None or left > 0, "the signal came too late to show anything"
        began = time.monotonic()
        world.start()
        row.recovery_s = world.recover(began)
        world.prove(row)


@pytest.mark.timeout(420)
def test_the_supervisor_starts_it_again(
    new_world: NewWorld, chaos_stack: Settings, outcomes: Outcomes
) -> None:
    """The stream as a service of the stack, on the stack's own topic."""
    names = {"topic": chaos_stack.topic, "rejected_topic": chaos_stack.rejected_topic}
    world = new_world("supervised", **names)
    world.stream_log = chaos_stack.log_dir / "stream.log"
    with outcomes.of("supervisor", "kill -9 of the stream, which the supervisor starts again") as row:
        faults.start(chaos_stack, "stream")
        try:
            feed = world.feed(world.plant(6_000), 150)
            world.wait("first batches", lambda: bool(feed.sent) and (world.behind() or 1) < 500)
            pid = faults.pid_of(chaos_stack, "stream")
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            world.wait("a new process", lambda: faults.pid_of(chaos_stack, "stream") not in (0, pid), 30)
            feed.rate = None
            row.recovery_s = world.recover(killed)
            world.prove(row)
        finally:
            faults.stop(chaos_stack, "stream")


def loud_end(job: Job, seconds: float = 240) -> str:
    """The stream ends by itself, in clear words; returns the query that it names."""
    assert job.process.wait(seconds) == 1
    last = job.said("query_ended")
    assert GONE in last, last
    return next(query for query in QUERIES if f"the checkpoint {query} under" in last)


def go_on(world: World, query: str) -> None:
    """What the sentence tells an operator to do; of the other query it may say the same then."""
    shutil.rmtree(world.settings.checkpoint_dir / query)
    job, give_up = world.start(), time.monotonic() + 240
    while job.runs and world.behind() != 0:
        assert time.monotonic() < give_up, job.tail()
        time.sleep(1)
    if not job.runs:
        shutil.rmtree(world.settings.checkpoint_dir / loud_end(job))
        world.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "while it is down"])
def test_a_topic_that_is_cut_off_stops_it_loudly(
    new_world: NewWorld, outcomes: Outcomes, running: bool
) -> None:
    """Records that Kafka dropped unread are never skipped in silence; afterwards the ledger names them."""
    when = "running with a backlog" if running else "down"
    world = new_world(f"cut-{when[:4]}", max_offsets_per_trigger=300)
    with outcomes.of("F5", f"topic cut off under the reader while it is {when}") as row:
        world.send(500)
        job = world.start()
        world.wait("first batches", world.at_rest)
        if not running:
            job.stop()
        world.send(6_000)
        faults.cut_topic(world.settings, keep=100)
        if running:
            loud_end(job)
        query = loud_end(world.start())  # and does not get used to it
        began = time.monotonic()
        go_on(world, query)
        row.recovery_s = world.recover(began)
        world.logged = False  # what is gone would count as lost and as not found
        ledger = world.ledger(row)
        assert ledger.lost == world.records - handled(world.settings) > 0
        assert (ledger.doubled, ledger.unexpected) == (0, 0)
        row.done += f"; the {ledger.lost:,} that Kafka dropped are named"


@pytest.mark.timeout(120)
def test_an_old_checkpoint_is_refused(new_world: NewWorld, outcomes: Outcomes) -> None:
    world = new_world("format")
    with outcomes.of("F17", "state of another format") as row:
        folder = world.settings.checkpoint_dir / "detection"
        folder.mkdir(parents=True)
        write_text(folder / "formats.json", '{"state": 0, "buckets": 16}')
        job = world.start()
        assert job.process.wait(60) == 1
        assert "state 0" in job.tail() and "remove that folder" in job.tail()
        assert "Traceback" not in job.tail()
        row.done += ": refused in clear words"


@pytest.mark.timeout(900)
def test_a_batch_larger_than_memory(new_world: NewWorld, outcomes: Outcomes) -> None:
    """A backlog taken in one batch needs no more memory than the same one in batches of the usual size."""
    usually = new_world("usual-size")
    with outcomes.of("size", f"{BACKLOG:,} records in one batch") as row:
        batch = usually.settings.max_offsets_per_trigger
        usual = driver_peak(usually, BACKLOG)
        world = new_world("large", max_offsets_per_trigger=10 * BACKLOG)
        began = time.monotonic()
        large = driver_peak(world, BACKLOG)
        row.recovery_s = time.monotonic() - began
        assert largest_batch(world.settings) == BACKLOG
        row.done += f": the driver held {large:.0f} MiB, with the usual batches {usual:.0f}"
        # A slice, and a batch of detection, is a quarter larger than a batch of the usual size.
        assert large < usual * max(1.0, world.settings.slice_records / batch) + MARGIN_MIB
        world.prove(row)


def driver_peak(world: World, records: int) -> float:
    """Runs the stream over so many records more; returns the most memory that its Python has held, in MiB."""
    world.load(records)
    job = world.start()
    world.wait("all of it", world.at_rest, 600)
    lines = Path(f"/proc/{job.process.pid}/status").read_text().splitlines()
    peak = int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024
    job.stop()
    return peak


def largest_batch(settings: Settings) -> int:
    """Rows of the largest batch, all nodes together."""
    sizes: Counter[tuple[str, int]] = Counter()
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT query, batch_id, stored FROM batch_ledger")
            for query, batch, stored in cursor.fetchall():
                sizes[query, batch] += stored
    return max(sizes.values())
