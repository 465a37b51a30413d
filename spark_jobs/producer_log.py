"""What a producer did, attempt by attempt: one JSON object a line. Pure.

``{"id": "…", "status": "ok", "partition": 0, "offset": 17}`` for an acknowledged record, with the place that
the broker named; ``failed`` for one that the broker refused or that never left; ``unknown`` for one whose
answer did not come, so that it may have arrived. Those two have no place. Each attempt has a line of its own,
also a second one under the same id. For ``kakou ledger check --producer-log`` the file names every attempt of
every producer of the topic. A record that the stream refuses may be logged under any id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from kakou.errors import BadInputError

Status = Literal["ok", "failed", "unknown"]
_STATUSES: Final = get_args(Status)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt; ``partition`` and ``offset`` are None unless it was acknowledged."""

    id: str
    status: Status
    partition: int | None = None
    offset: int | None = None


def format_attempt(attempt: Attempt) -> str:
    r"""One line of the log, with its line feed.

    >>> format_attempt(Attempt("a1", "ok", 2, 17))
    '{"id": "a1", "status": "ok", "partition": 2, "offset": 17}\n'
    >>> format_attempt(Attempt("a1", "unknown"))
    '{"id": "a1", "status": "unknown"}\n'
    """
    words: dict[str, object] = {"id": attempt.id, "status": attempt.status}
    if attempt.status == "ok":
        words |= {"partition": attempt.partition, "offset": attempt.offset}
    return json.dumps(words, ensure_ascii=False) + "\n"


def parse_attempts(lines: Iterable[str]) -> Iterator[Attempt]:
    """Reads a log; an empty line is passed over, and so is a last line that a kill cut short.

    Raises:
        BadInputError: a line is no attempt; the message names it.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        attempt = _parse(line)
        if attempt is not None:
            yield attempt
        elif line.endswith("\n"):
            raise BadInputError(
                f"Line {number} of the producer log is no attempt: it needs id, status (ok, failed or "
                "unknown) and, where it is ok, partition and offset. Name the log of the producer, not of "
                "what was refused, or take that line out."
            )


def _parse(line: str) -> Attempt | None:
    try:
        words = json.loads(line)
        status = words["status"]
        if status not in _STATUSES:
            return None
        if status != "ok":
            return Attempt(str(words["id"]), status)
        return Attempt(str(words["id"]), status, int(words["partition"]), int(words["offset"]))
    except (ValueError, KeyError, TypeError):
        return None
