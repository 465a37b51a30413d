"""F8: no room under the checkpoint, the logs, or the data of all stores; then there is room again."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faults
import pytest
from outcomes import Outcomes
from rich.console import Console
from small_disk import SmallDisk
from stream_process import handled
from world import World

from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(420)]
NO_ROOM = "No space left on device"
DATA_MIB, LOG_MIB, CHECKPOINT_MIB = 1_500, 64, 64


def demand_whole(checkpoint: Path) -> None:
    """No file that Spark goes by is empty or half."""
    files = [file for file in checkpoint.glob("*/*/[0-9]*") if file.is_file()]
    assert files and all(file.stat().st_size for file in files)


def test_no_room_for_the_checkpoint(new_world: Callable[..., World], outcomes: Outcomes) -> None:
    world = new_world("checkpoint")
    folder = world.settings.checkpoint_dir
    with (
        outcomes.of("F8", "disk full under the checkpoint") as row,
        SmallDisk(folder, CHECKPOINT_MIB) as disk,
    ):
        job = world.start()
        world.send(300)
        world.wait("first batches", world.at_rest)
        family = job.family()
        disk.fill()
        world.send(600)
        assert job.ended(family, 120) == 1
        assert NO_ROOM in job.tail() or "No room is left" in job.tail()
        # And it says so again, in one sentence, as long as there is none.
        job = world.start()
        assert job.process.wait(120) == 1
        assert "No room is left" in job.tail().splitlines()[-1]
        disk.empty()
        began = time.monotonic()
        world.start()
        row.recovery_s = world.recover(began)
        demand_whole(folder)
        world.prove(row)
        world.close()


@pytest.fixture(scope="module")
def small_stack(
    own_stack: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, SmallDisk, SmallDisk]]:
    """Stores and stream under the supervisor, with small disks under their data and under all logs."""
    var = tmp_path_factory.mktemp("disk") / "var"
    with SmallDisk(var / "data", DATA_MIB) as data, SmallDisk(var / "log", LOG_MIB) as logs:
        settings = own_stack("disk", var=var)
        yield settings, data, logs
        data.empty()
        logs.empty()
        lifecycle.down(settings)


@pytest.fixture(scope="module")
def supervised(
    small_stack: tuple[Settings, SmallDisk, SmallDisk], tmp_path_factory: pytest.TempPathFactory,
    outcomes: Outcomes,
) -> World:  # fmt: skip
    settings = small_stack[0]
    names = {"topic": settings.topic, "rejected_topic": settings.rejected_topic}
    world = World(settings, tmp_path_factory.mktemp("logs"), "disk", outcomes.seed, **names)
    world.stream_log = settings.log_dir / "stream.log"
    faults.start(settings, "stream")
    world.send(300)
    world.wait("first batches", world.at_rest)
    return world


def test_no_room_for_logs(
    supervised: World, small_stack: tuple[Settings, SmallDisk, SmallDisk], outcomes: Outcomes
) -> None:
    """What nobody can write down costs a few lines and no pass."""
    settings, _, logs = small_stack
    with outcomes.of("F8", "disk full under all logs, 15 s") as row:
        pids = {name: faults.pid_of(settings, name) for name in (*STORES, "stream")}
        before = handled(settings)
        logs.fill()
        feed = supervised.feed(supervised.plant(3_000), 200)
        supervised.wait("passes", lambda: handled(settings) > before, 60)
        time.sleep(15)
        logs.empty()
        ended = time.monotonic()
        feed.finished()
        row.recovery_s = supervised.recover(ended)
        assert pids == {name: faults.pid_of(settings, name) for name in pids}, "a service was started anew"
        supervised.prove(row)


def test_no_room_for_data(
    supervised: World, small_stack: tuple[Settings, SmallDisk, SmallDisk], outcomes: Outcomes
) -> None:
    """Broker, nodes and Redis on one full disk; an operator makes room and says `kakou up`."""
    settings, data, _ = small_stack
    with outcomes.of("F8", "disk full under the data of all stores, 20 s") as row:
        feed = supervised.feed(supervised.plant(6_000), 200)
        time.sleep(3)
        data.fill()
        time.sleep(20)
        assert shutil.disk_usage(settings.data_dir).free == 0
        data.empty()
        ended = time.monotonic()
        lifecycle.up(settings, {*STORES, "stream"}, console=Console(quiet=True))
        feed.finished()
        row.recovery_s = supervised.recover(ended)
        demand_whole(settings.checkpoint_dir)
        supervised.prove(row)
