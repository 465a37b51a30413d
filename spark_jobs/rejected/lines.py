"""Refused records as JSON lines: what ``kakou rejected list --json`` writes and a person mends. Pure.

``{"partition": 0, "offset": 17, "reason": "bad_time", "rejected_at": "…", "length": 120, "text": "…"}``.
Bytes that are no UTF-8 stand under ``base64`` instead of ``text``; a record without a value has null. For
mending, only place and ``text`` or ``base64`` count.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from kakou.errors import BadInputError

Place = tuple[int, int]


def to_line(place: Place, reason: str, rejected_at: str, value: bytes | None) -> str:
    r"""One record as a line, without line feed.

    >>> to_line((0, 17), "nul", "2024-01-15 08:00:00", b"a\x00b")
    '{"partition": 0, "offset": 17, "reason": "nul", "rejected_at": "2024-01-15 08:00:00", "length": 3, "text": "a\\u0000b"}'
    """  # noqa: E501
    return json.dumps(
        {
            "partition": place[0],
            "offset": place[1],
            "reason": reason,
            "rejected_at": rejected_at,
            "length": len(value or b""),
            **_as_words(value),
        },
        ensure_ascii=False,
    )


def parse_mended(lines: Iterable[str]) -> dict[Place, bytes | None]:
    r"""Bytes by place from lines that a person may have edited.

    >>> parse_mended(['{"partition": 0, "offset": 17, "base64": "/w=="}\n'])
    {(0, 17): b'\xff'}

    Raises:
        BadInputError: a line cannot be used; the message names it.
    """
    found: dict[Place, bytes | None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            words = json.loads(line)
            place = int(words["partition"]), int(words["offset"])
            value = _bytes_of(words)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise BadInputError(
                f"Line {number} of the mended records cannot be used ({type(error).__name__}: {error}). Each "
                "line is one of `kakou rejected list --json`: partition, offset and text or base64."
            ) from error
        if place in found:
            raise BadInputError(
                f"Line {number} of the mended records names {place[0]}/{place[1]} again. Keep one of the two."
            )
        found[place] = value
    return found


def _as_words(value: bytes | None) -> dict[str, str | None]:
    try:
        return {"text": None if value is None else value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value or b"").decode("ascii")}


def _bytes_of(words: dict[str, Any]) -> bytes | None:
    if ("text" in words) == ("base64" in words):
        raise ValueError("it needs either text or base64")
    if "base64" in words:
        return base64.b64decode(words["base64"], validate=True)
    text = words["text"]
    if text is not None and not isinstance(text, str):
        raise TypeError("text is no text")
    return None if text is None else text.encode("utf-8")
