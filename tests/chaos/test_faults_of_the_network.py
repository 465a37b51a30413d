"""F16: the network between the stream and a store is cut, slow, or says one thing and does another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import faults
import pytest
from flaky_proxy import FlakyProxy
from outcomes import Outcomes
from world import World

from kakou.settings import Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(420)]
SHIFT = 13  # ports of the proxies lie so far above those of the stores
STORES = ("kafka", "dn1", "dn2", "endpoint", "redis")
RATE, BEFORE_S, AFTER_S = 150, 2.0, 8.0


@dataclass(frozen=True)
class Fault:
    """What the network does on the way to one store, and for how long."""

    store: str
    done: str
    act: Callable[[FlakyProxy], None]
    seconds: float


FAULTS = (
    Fault("dn2", "cut", FlakyProxy.cut, 20),
    Fault("dn1", "answers lost", FlakyProxy.lose_answers, 10),
    Fault("dn2", "0.5 s slow", lambda proxy: proxy.delay(0.5), 12),
    Fault("kafka", "cut", FlakyProxy.cut, 20),
    Fault("kafka", "20 kB/s", lambda proxy: proxy.throttle(20_000), 12),
)


@pytest.fixture(scope="module")
def proxies(chaos_stack: Settings) -> Iterator[dict[str, FlakyProxy]]:
    """A proxy before every store; the broker sends its clients there too."""
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(
                FlakyProxy(chaos_stack.port(name), port=chaos_stack.port(name) + SHIFT, host=chaos_stack.host)
            )
            for name in STORES
        }
        _advertise(chaos_stack, made["kafka"].port)
        yield made
        faults.stop(chaos_stack, "kafka")
        faults.start(chaos_stack, "kafka")  # which writes its configuration anew


def _advertise(settings: Settings, port: int) -> None:
    """Kafka tells its clients where to go on; the supervisor starts it again with what is written now."""
    path = settings.run_dir / "kafka.properties"
    own = f"advertised.listeners=CLIENT://{settings.kafka_bootstrap}"
    text = path.read_text("ascii")
    assert own in text
    path.write_text(text.replace(own, f"advertised.listeners=CLIENT://{settings.host}:{port}"), "ascii")
    faults.kill(settings, "kafka")


@pytest.fixture(scope="module")
def world(
    chaos_stack: Settings,
    proxies: dict[str, FlakyProxy],
    tmp_path_factory: pytest.TempPathFactory,
    outcomes: Outcomes,
) -> Iterator[World]:
    """One stream behind the proxies; we ask the nodes past them."""
    made = World(chaos_stack, tmp_path_factory.mktemp("network"), "network", outcomes.seed)
    made.stream_settings = made.settings.model_copy(update={"port_offset": chaos_stack.port_offset + SHIFT})
    made.start()
    made.send(500)
    made.wait("first batches", made.at_rest)
    yield made
    made.close()


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{one.store} {one.done}" for one in FAULTS])
def test_nothing_is_lost_or_doubled(
    world: World, proxies: dict[str, FlakyProxy], outcomes: Outcomes, fault: Fault
) -> None:
    with outcomes.of("F16", f"way to {fault.store} {fault.done}, {fault.seconds:.0f} s") as row:
        world.start()
        proxy = proxies[fault.store]
        carried = proxy.forwarded
        feed = world.feed(world.plant(int(RATE * (BEFORE_S + fault.seconds + AFTER_S))), RATE)
        time.sleep(BEFORE_S)
        fault.act(proxy)
        try:
            time.sleep(fault.seconds)
        finally:
            proxy.heal()
        ended = time.monotonic()
        feed.rate = None  # the rest at once
        feed.finished()
        assert world.job is not None and world.job.runs, world.tail()
        row.recovery_s = world.recover(ended)
        assert proxy.forwarded > carried, "the stream does not go through the proxy"
        world.prove(row)
