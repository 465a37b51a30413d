"""Which records a micro-batch spans, as Spark wrote it down before the batch began.

A batch that is repeated after a crash spans the same offsets, whatever the settings say by then. The rows of
a batch would not tell: a hole in the log of Kafka has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kakou.errors import StateFormatError

Offsets = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a batch by partition: ``start`` is the first one, ``end`` the one after the last."""

    start: Offsets
    end: Offsets

    @property
    def size(self) -> int:
        """Most records that it can hold."""
        return sum(end - self.start[partition] for partition, end in self.end.items())

    def cuts(self, most: int) -> Iterator[Span]:
        """Spans of at most ``most`` records that follow each other in the order (partition, offset).

        Wherever the cuts lie, the records come in the same order, so a batch may be cut otherwise when it is
        repeated.

        >>> [dict(cut.end) for cut in Span({0: 0, 1: 5}, {0: 3, 1: 9}).cuts(4)]
        [{0: 3, 1: 6}, {1: 9}]
        """
        start: dict[int, int] = {}
        end: dict[int, int] = {}
        room = most
        for partition in sorted(self.end):
            at = self.start[partition]
            while at < self.end[partition]:
                start[partition] = at
                at = end[partition] = min(at + room, self.end[partition])
                room = most - sum(end[one] - start[one] for one in end)
                if not room:
                    yield Span(start, end)
                    start, end, room = {}, {}, most
        if end:
            yield Span(start, end)


class OffsetLog:
    """The offsets of a query's checkpoint.

    Args:
        checkpoint: folder of the query.
        topic: the one topic that it reads.
    """

    def __init__(self, checkpoint: Path, topic: str) -> None:
        self._checkpoint = checkpoint
        self._topic = topic

    def span(self, number: int) -> Span:
        """What batch ``number`` spans; a partition that came up since the batch before begins at 0.

        Raises:
            StateFormatError: Spark writes its checkpoint in another way than we read it.
        """
        end = self._read(self._checkpoint / "offsets" / str(number))
        before = self._checkpoint / "offsets" / str(number - 1)
        start = self._read(before if number else self._checkpoint / "sources" / "0" / "0")
        return Span({partition: start.get(partition, 0) for partition in end}, end)

    def _read(self, file: Path) -> Offsets:
        try:
            # The last line is the source's own, behind the version and what Spark adds; the first may have a
            # NUL before it.
            last = file.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]
            return {int(partition): int(at) for partition, at in json.loads(last)[self._topic].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateFormatError(
                f"The offsets of a batch cannot be read from {file} ({type(error).__name__}). If the topic "
                "was renamed or the file is broken, remove the checkpoint of this query: it then reads again "
                "what Kafka still holds, and nothing is stored twice."
            ) from error
