"""Fixtures that every test may use: settings without services, and one small stack for the session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_stack import isolated_settings, quiet_offset
from rich.console import Console

from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import STORES


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
