"""Quotes that are opened and never closed: the engine reads on to the next one, over any number of lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.io.raw_table import Refused

# Stands for a record that cannot be read; one column is always too few, so the engine refuses it.
_IN_ITS_PLACE: Final = "?"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a line is cut: into ``width`` columns at each ``delimiter`` that no ``quote`` encloses."""

    width: int
    delimiter: str
    quote: str


def without_stray_quotes(source: Path, target: Path, cut: Cut, above: int) -> tuple[tuple[Refused, ...], int]:
    """Copies a text so that every record is a line of its own.

    A value with a line break is refused anyway, so two lines that make one record, and a line whose quotes do
    not match, are replaced by a line that the engine refuses.

    Args:
        above: lines that are copied as they are.

    Returns:
        what was refused, by its line in the copy, and how many lines that has.
    """
    refused: list[Refused] = []
    opens = re.compile(f"(?:^|{re.escape(cut.delimiter)})[ ]*{cut.quote}")
    number, held = 0, ""
    with (
        source.open(encoding="utf-8-sig", newline="\n", errors="replace") as lines,
        target.open("w", encoding="utf-8", newline="\n") as copy,
    ):

        def refuse(text: str, reason: str) -> None:
            nonlocal number
            number += 1
            refused.append((number, reason, text.strip("\r\n")))
            copy.write(_IN_ITS_PLACE + ("\r\n" if text.endswith("\r\n") else "\n"))

        for line in lines:
            odd = number >= above and line.count(cut.quote) % 2 == 1
            odd = odd and (bool(held) or opens.search(line) is not None)
            if held and odd and (held + line).count(cut.delimiter) == cut.width - 1:
                refuse(held + line, "control_character")
                held = ""
                continue
            if held:
                refuse(held, "bad_quotes")
                held = ""
            if odd:
                held = line
            else:
                number += 1
                copy.write(line)
        if held:
            refuse(held, "bad_quotes")
    return tuple(refused), number
