"""Finds how a text file is encoded by reading all of it, and hands it on as UTF-8.

The order is: a byte-order mark, strict UTF-8, else GB18030. A guess from a sample would be wrong for a file
whose first Chinese character stands far down. In GB18030 nearly every byte sequence is *something*, so it
comes last.
"""

from __future__ import annotations

import codecs
import re
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 22
REPLACEMENT: Final = "\ufffd"
WIDE: Final = re.compile("[\uff01-\uff5e\u3000]")
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file as UTF-8.

    Attributes:
        path: where the UTF-8 text lies: the file itself if it needs no change.
        encoding: how the original is written: ``utf-8``, ``utf-8-sig``, ``utf-16`` or ``gb18030``.
        broken: some bytes had no meaning and stand as U+FFFD.
        odd: the text holds a TAB or a NUL.
        wide: the text holds full-width letters, digits or signs.
    """

    path: Path
    encoding: str
    broken: bool = False
    odd: bool = False
    wide: bool = False


def as_utf8(path: Path, scratch: Path) -> TextFile:
    """Finds the encoding of ``path``; writes a UTF-8 copy to ``scratch`` unless it is UTF-8 already."""
    with path.open("rb") as file:
        head = file.read(4)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        try:
            return _scan(path, None, "utf-8", "strict")
        except UnicodeDecodeError:
            encoding = "gb18030"
    return _scan(path, scratch, encoding, "replace")


def _scan(path: Path, target: Path | None, encoding: str, errors: str) -> TextFile:
    """Decodes all of ``path`` and notes what is unusual; writes it to ``target`` as UTF-8 if there is one."""
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    broken = odd = wide = False
    with path.open("rb") as source, target.open("wb") if target else nullcontext() as sink:
        while True:
            chunk = source.read(CHUNK)
            text = decoder.decode(chunk, final=not chunk)
            broken = broken or REPLACEMENT in text
            odd = odd or "\t" in text or "\x00" in text
            wide = wide or WIDE.search(text) is not None
            if sink:
                sink.write(text.encode("utf-8", "replace"))
            if not chunk:
                return TextFile(target or path, encoding, broken, odd, wide)
