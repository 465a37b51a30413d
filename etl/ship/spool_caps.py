"""How much of a log that is not shipped is kept, and what was lost beyond it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl.io.pass_log import LEAST_FREE_BYTES
from etl.ship.spooled import Spooled
from kakou.settings import Settings

_GB: Final = 10**9


@dataclass(frozen=True, slots=True)
class SpoolCaps:
    """Caps for the files that the log let go of.

    Attributes:
        hours: between the last line of the oldest and that of the newest. bytes: of all of them.
        least_free: bytes on the disk; the log stops at half of that, and must not come to it.
    """

    hours: float
    bytes: float
    least_free: int = 2 * LEAST_FREE_BYTES

    @classmethod
    def of(cls, settings: Settings) -> SpoolCaps:
        """The caps that the settings name."""
        return cls(settings.spool_hours, settings.spool_gb * _GB)

    def why_over(self, file: Spooled, held: Sequence[Spooled]) -> str:
        """Why ``file`` cannot be kept beside the files that are ``held``, it among them; empty if it can."""
        if file.path is None:
            return "could not copy it"
        if shutil.disk_usage(file.path.parent).free < self.least_free:
            return "finds too little room on the disk"
        if sum(one.kept_bytes for one in held) > self.bytes:
            return "is full (KAKOU_SPOOL_GB)"
        oldest = next((one.path for one in held if one.path), file.path)
        if (file.path.stat().st_mtime - oldest.stat().st_mtime) / 3600 > self.hours:
            return "holds as many hours as it may (KAKOU_SPOOL_HOURS)"
        return ""


@dataclass(slots=True)
class Losses:
    """What will never be in the topic: files dropped at a cap, bytes truncated before anybody read them."""

    dropped_files: int = 0
    dropped_bytes: int = 0
    cut_bytes: int = 0
