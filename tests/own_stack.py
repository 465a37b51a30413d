"""Settings and ports of a stack that a test has for itself."""

from __future__ import annotations

import os
from pathlib import Path

from kakou.settings import Settings, load_settings
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
