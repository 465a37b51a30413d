"""How far the shipper is behind: a small file for programs, a sentence for the log."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from kakou.whole_files import write_json


@dataclass(slots=True)
class Shipped:
    """What a run did, and what it had to give up.

    Attributes:
        lines: acknowledged. known: in the topic already, so not sent again.
        too_large: refused by the broker, kept in ``too_large.log``.
        restarts: how often the outcome of sendings was unknown and the topic was asked.
        dropped_files, dropped_bytes: not kept, as the spool was at its cap.
        cut_bytes: truncated before they were read. unshipped_bytes: written and not acknowledged at the end.
    """

    lines: int = 0
    known: int = 0
    too_large: int = 0
    restarts: int = 0
    dropped_files: int = 0
    dropped_bytes: int = 0
    cut_bytes: int = 0
    unshipped_bytes: int = 0


@dataclass(slots=True)
class Lag:
    """Follows how much is not acknowledged, and how old the oldest of it is.

    >>> lag = Lag()
    >>> for now, bytes_, acked in ((0.0, 0, 0), (2.0, 500, 0), (4.0, 600, 400), (6.0, 100, 900)):
    ...     lag.note(now, bytes_, acked)
    ...     lag.seconds(now)
    0.0
    0.0
    2.0
    2.0
    """

    bytes: int = 0
    in_flight: int = 0
    spool_files: int = 0
    spool_bytes: int = 0
    _written: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, now: float, bytes_: int, acked: int) -> None:
        """Takes a measure.

        Args:
            now: seconds of any clock that does not jump. bytes_: not acknowledged.
            acked: bytes acknowledged since the start.
        """
        self.bytes, written = bytes_, acked + bytes_
        # What was lost at a cap or by truncation will never be acknowledged.
        while self._written and self._written[-1][1] > written:
            self._written.pop()
        if not self._written or self._written[-1][1] < written:
            self._written.append((now, written))
        while self._written and self._written[0][1] <= acked:
            self._written.popleft()

    def seconds(self, now: float) -> float:
        """Age of the oldest line that is not acknowledged, as exact as ``note`` is called often."""
        return now - self._written[0][0] if self._written else 0.0

    def in_words(self, now: float) -> str:
        """For the log."""
        return (
            f"{self.bytes} bytes are not in Kafka yet ({self.in_flight} lines on their way), the oldest for "
            f"{self.seconds(now):.0f} s; the spool holds {self.spool_files} files, {self.spool_bytes} bytes"
        )


def write_status(path: Path, shipped: Shipped, lag: Lag, zone: ZoneInfo, *, connected: bool) -> None:
    """Replaces the status file: counts since the start, lag, and whether the broker answers."""
    write_json(
        path,
        {
            "at": datetime.now(zone).isoformat(timespec="seconds"),
            "connected": connected,
            **asdict(shipped),
            "unshipped_bytes": lag.bytes,
            "lines_in_flight": lag.in_flight,
            "behind_seconds": round(lag.seconds(time.monotonic()), 1),
            "spool_files": lag.spool_files,
            "spool_bytes": lag.spool_bytes,
        },
    )
