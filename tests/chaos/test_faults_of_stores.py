"""F4, F6, F7 and a topic that grows: what happens to broker, nodes and Redis while one stream runs through it
all. After each fault everything that was sent so far is proven."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import faults
import pytest
from outcomes import Outcomes
from stream_process import handled
from world import World

from kakou.settings import Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(420)]
RATE, BEFORE_S, AFTER_S = 150, 2.0, 8.0


@dataclass(frozen=True)
class Fault:
    """What is done for how long.

    Attributes:
        flows: whether passes must be stored although the fault lasts.
        unsure: the producer gives up before the fault ends, so that it does not know what arrived.
    """

    name: str
    done: str
    during: Callable[[Settings], AbstractContextManager[None]]
    seconds: float
    flows: bool = False
    unsure: bool = False


@contextmanager
def killed(settings: Settings, service: str) -> Iterator[None]:
    faults.kill(settings, service)
    yield


def grown(settings: Settings) -> AbstractContextManager[None]:
    faults.grow_topic(settings, settings.partitions + 2)
    return nullcontext()


FAULTS = (
    Fault("F6", "dn2 down", partial(faults.down, service="dn2"), 60),
    Fault("F6", "dn1, which also holds warnings, killed", partial(killed, service="dn1"), 0),
    Fault("F6", "dn2 read-only", partial(faults.read_only, node="dn2"), 12),
    Fault("F6", "dn2 frozen, longer than an answer is waited for", partial(faults.frozen, service="dn2"), 65),
    Fault("F6", "endpoint killed", partial(killed, service="endpoint"), 0, flows=True),
    Fault("F7", "Redis down", partial(faults.down, service="redis"), 15, flows=True),
    Fault("F7", "Redis restarted empty", faults.empty_redis, 3, flows=True),
    Fault("F7", "Redis full", faults.full_redis, 12, flows=True),
    Fault("F4", "broker killed", partial(killed, service="kafka"), 0),
    Fault("F4", "broker frozen, longer than the producer waits", partial(faults.frozen, service="kafka"), 30,
          unsure=True),
    Fault("rebalance", "topic grown from 4 to 6 partitions", grown, 4, flows=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(
    chaos_stack: Settings, tmp_path_factory: pytest.TempPathFactory, outcomes: Outcomes
) -> Iterator[World]:
    """One stream, which every fault of this file meets."""
    made = World(chaos_stack, tmp_path_factory.mktemp("stores"), "stores", outcomes.seed)
    made.start()
    made.send(500)
    made.wait("first batches", made.at_rest)
    yield made
    made.close()


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{one.name} {one.done}" for one in FAULTS])
def test_nothing_is_lost_or_doubled(world: World, outcomes: Outcomes, fault: Fault) -> None:
    lasting = f", {fault.seconds:.0f} s" if fault.seconds else ""
    with outcomes.of(fault.name, fault.done + lasting) as row:
        world.start()  # it runs, unless an earlier fault was too much for it
        how = {"give_up_s": 12, "turn": 2 * RATE} if fault.unsure else {}
        wave = world.plant(int(RATE * (BEFORE_S + fault.seconds + AFTER_S)))
        feed = world.feed(wave, RATE, **how)
        time.sleep(BEFORE_S)
        with fault.during(world.settings):
            before = handled(world.settings) if fault.flows else 0
            time.sleep(fault.seconds)
            if fault.flows:
                world.wait("passes", lambda: handled(world.settings) > before, 30)
            assert world.job is not None and world.job.runs, world.tail()
        ended = time.monotonic()
        feed.rate = None  # the rest at once
        feed.finished()
        assert not fault.unsure or world.unsure, "the producer knew of each record"
        row.recovery_s = world.recover(ended)
        world.prove(row)


def test_a_new_gate_waits_for_the_endpoint(world: World, outcomes: Outcomes) -> None:
    """A gate that nobody knows is added at the endpoint before its rows become visible."""
    with outcomes.of("F6", "endpoint down 12 s, a gate is new") as row:
        world.start()
        wave = world.plant(300)
        wave.values = [value.replace(b"CH_G7", b"CH_NEW") for value in wave.values]
        world.clones -= wave.clones  # where a gate lies that is new, the detector does not know
        before = handled(world.settings)
        with faults.down(world.settings, "endpoint"):
            world.feed(wave).finished()
            time.sleep(12)
            assert handled(world.settings) == before
        row.recovery_s = world.recover(time.monotonic())
        world.prove(row)


def test_the_retry_is_capped(new_world: Callable[..., World], outcomes: Outcomes) -> None:
    """A node that stays away longer than the cap ends the job loudly; started again, it goes on."""
    world = new_world("cap", retry_cap_seconds=6)
    with outcomes.of("F6", "dn2 down beyond the retry cap of 6 s") as row:
        job = world.start()
        world.send(300)
        world.wait("first batches", world.at_rest)
        with faults.down(world.settings, "dn2"):
            family = job.family()
            world.send(600)
            assert job.ended(family, 90) == 1
            assert "failed for 6 s" in job.tail() and "Look at `kakou status`" in job.tail()
        ended = time.monotonic()
        world.start()
        row.recovery_s = world.recover(ended)
        world.prove(row)
