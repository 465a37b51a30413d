"""Says which gates' place on the map detection does not use, once for each change of what it goes by."""

from __future__ import annotations

import time
from typing import Final

import structlog

from kakou.detection.files import places_not_used
from kakou.errors import KakouError
from kakou.settings import Settings

_LOG = structlog.get_logger("kakou.stream")
LOOK_S: Final = 30.0


class UnusedPlaces:
    """Looks at the files that detection goes by."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked = -LOOK_S
        self._version: tuple[int, ...] = ()
        self._said: list[str] = []

    def tend(self) -> None:
        """Called a few times a second; most calls do nothing."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        settings = self._settings
        files = (settings.clean_dir / "kkmc_dimension.csv", settings.knowledge_file, settings.rule_file)
        version = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        if version == self._version:
            return
        self._version = version
        try:
            found = places_not_used(self._settings)
        except KakouError:
            return  # detection says what is wrong, and goes on with what it knew
        if found != self._said:
            self._said = found
            _LOG.warning("places_not_used", gates=found, why="passes contradict their place on the map")
