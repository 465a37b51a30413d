"""A stack for the faults alone, and the table of what was survived at the end of the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcomes import Outcomes, report_path
from rich.console import Console
from world import World

from kakou.settings import Settings, load_settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES
from kakou.stack.ports import free_offset

_TABLE = pytest.StashKey[Outcomes]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TABLE] = Outcomes(int(os.environ.get("KAKOU_CHAOS_SEED", "1")))


def pytest_terminal_summary(config: pytest.Config) -> None:
    told = config.stash[_TABLE]
    if told.rows:
        told.print()
        told.write(report_path())
        print(f"As JSON: {report_path()}")


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """The table; each fault opens a row of it."""
    return request.config.stash[_TABLE]


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Settings]]:
    """Makes a stack of stores whose processes may be killed and frozen; all are gone afterwards."""
    made: list[Settings] = []

    def make(name: str, **overrides: object) -> Settings:
        var = overrides.pop("var", None) or tmp_path_factory.mktemp(name) / "var"
        offset = free_offset("127.0.0.1", 10_070 + os.getpid() % 100 * 100, 100, 23_000)
        settings = load_settings(
            _env_file=None, var=var, parts=load_settings().parts, port_offset=offset, **overrides
        )
        made.append(settings)
        lifecycle.up(settings, set(STORES), console=Console(quiet=True))
        return settings

    yield make
    for settings in made:
        lifecycle.down(settings)
        shutil.rmtree(settings.var, ignore_errors=True)


@pytest.fixture(scope="session")
def chaos_stack(own_stack: Callable[..., Settings]) -> Settings:
    """The one stack that most faults hit, one after the other; each leaves it whole."""
    return own_stack("chaos")


@pytest.fixture
def new_world(chaos_stack: Settings, tmp_path: Path, outcomes: Outcomes) -> Iterator[Callable[..., World]]:
    """Makes a world on that stack for one test."""
    made: list[World] = []

    def make(name: str, **overrides: object) -> World:
        made.append(World(chaos_stack, tmp_path, name, outcomes.seed, **overrides))
        return made[-1]

    yield make
    for world in made:
        world.close()
