"""Fixtures that every test may use: settings without services, and one small stack for the session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from kakou.settings import Settings, load_settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES
from kakou.stack.ports import free_offset

# Below the ports that Linux gives to outgoing connections, which might hold one of ours for a moment.
_FIRST_OFFSET, _LAST_OFFSET, _STEP = 10_000, 23_000, 100


def isolated_settings(var: Path, **overrides: object) -> Settings:
    """Settings whose every file lies under ``var``; the installed parts are shared, ``.env`` is not read."""
    return load_settings(_env_file=None, var=var, parts=load_settings().parts, **overrides)


def quiet_offset() -> int:
    """An offset at which all ports are free; two test runs at once begin to look at different places."""
    first = _FIRST_OFFSET + os.getpid() % 100 * _STEP
    return free_offset("127.0.0.1", first, _STEP, _LAST_OFFSET)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a folder of their own and no service."""
    return isolated_settings(tmp_path / "var", port_offset=0)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a running Kafka, two nodes, endpoint and Redis, with topics and schema; ours alone."""
    var = tmp_path_factory.mktemp("stack") / "var"
    built = isolated_settings(var, port_offset=quiet_offset())
    try:
        lifecycle.up(built, set(STORES), console=Console(quiet=True))
        yield built
    finally:
        lifecycle.down(built)
        shutil.rmtree(var, ignore_errors=True)
