"""Finds how a text file is encoded by reading all of it, and hands it on as UTF-8.

The order is: a byte-order mark, strict UTF-8, else GB18030. A guess from a sample would be wrong for a file
whose first Chinese character stands far down. In GB18030 nearly every byte sequence is *something*, so it
comes last.
"""

from __future__ import annotations

import codecs
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

CHUNK: Final = 1 << 22
REPLACEMENT: Final = "\ufffd"
# Full-width letters, digits and signs, and blanks that look like one: ideographic, no-break, zero-width.
WIDE: Final = re.compile("[\uff01-\uff5e\u3000\u00a0\u200b-\u200f\u2060\u202a-\u202e\ufeff]")
# The first bytes of these characters and of U+FFFD in UTF-8. Hardly any other character begins with them.
RARE_BEGINNINGS: Final = (b"\xef", b"\xe3", b"\xc2", b"\xe2")
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Text of another encoding has nearly no valid UTF-8 character beyond ASCII; a UTF-8 file with some broken
# bytes has nearly only valid ones.
_MOST_BROKEN: Final = 0.25
# Where the zero bytes of ASCII text stand, as written two or four bytes to a character without a mark.
_ZEROS: Final = ((b"[^\\0]\\0", "utf-16-le"), (b"\\0[^\\0]", "utf-16-be"))


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file as UTF-8.

    Attributes:
        path: where the UTF-8 text lies: the file itself if it needs no change.
        encoding: of the original: ``utf-8``, ``utf-8-sig``, ``utf-16``, ``utf-32`` or ``gb18030``.
        broken: some bytes had no meaning and stand as U+FFFD.
        odd: the text holds a TAB or a NUL.
        wide: the text holds full-width letters, digits or signs, or blanks of an unusual kind.
        lines: how many lines it holds, the last one with or without a line feed.
    """

    path: Path
    encoding: str
    broken: bool = False
    odd: bool = False
    wide: bool = False
    lines: int = 0


def as_utf8(path: Path, scratch: Path) -> TextFile:
    """Finds the encoding of ``path``; writes a UTF-8 copy to ``scratch`` unless it is UTF-8 already."""
    with path.open("rb") as file:
        head = file.read(64)
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _by_zeros(head)
    if encoding and encoding.startswith(("utf-16", "utf-32")):
        return _noted(_decoded(path, scratch, encoding), encoding[:6], scratch)
    if _is_utf8(path):
        return _noted(path, encoding or "utf-8", scratch)
    if encoding or _is_broken_utf8(path):
        return _noted(_decoded(path, scratch, encoding or "utf-8"), encoding or "utf-8", scratch)
    return _noted(_from_gb18030(path, scratch), "gb18030", scratch)


def _by_zeros(head: bytes) -> str | None:
    """UTF-16 without a mark, by the names of its header."""
    return next((name for form, name in _ZEROS if re.match(b"(?:" + form + b"){8}", head)), None)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_broken_utf8(path: Path) -> bool:
    """Whether text that is not strict UTF-8 was nonetheless meant to be: all but a few characters are."""
    valid = broken = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            text = chunk.decode("utf-8", "replace")
            wrong = text.count(REPLACEMENT)
            broken += wrong
            valid += len(text) - wrong - len(text.encode("ascii", "ignore"))
            if broken > 1000 and broken > valid:
                return False
    return broken <= _MOST_BROKEN * valid


def _from_gb18030(path: Path, scratch: Path) -> Path:
    """Decodes by ``iconv``, half again as fast as Python; where that finds no way, or is missing, Python
    does it."""
    try:
        subprocess.run(
            ["iconv", "-f", "GB18030", "-t", "UTF-8", "-o", scratch, "--", path.absolute()],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return _decoded(path, scratch, "gb18030")
    return scratch


def _decoded(path: Path, target: Path, encoding: str) -> Path:
    """Writes ``path`` to ``target`` as UTF-8, U+FFFD where bytes have no meaning."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    with path.open("rb") as source, target.open("wb") as sink:
        while True:
            chunk = source.read(CHUNK)
            sink.write(decoder.decode(chunk, final=not chunk).encode("utf-8", "replace"))
            if not chunk:
                return target


def _noted(path: Path, encoding: str, scratch: Path) -> TextFile:
    """Notes what is unusual in the UTF-8 text at ``path``; line ends that differ, as in joined files, go."""
    rare = odd = mixed = False
    lines, returns, last = 0, 0, b"\n"
    with path.open("rb") as file:
        file.seek(3 if file.read(3) == codecs.BOM_UTF8 else 0)
        while chunk := _whole_ends(file):
            rare = rare or any(first in chunk for first in RARE_BEGINNINGS)
            odd = odd or b"\t" in chunk or b"\x00" in chunk
            feeds = chunk.count(b"\n")
            if b"\r" in chunk:
                pairs = chunk.count(b"\r\n")
                returns += pairs
                mixed = mixed or chunk.count(b"\r") != pairs
            lines, last = lines + feeds, chunk[-1:]
    if mixed or returns not in (0, lines):
        return _noted(_one_line_end(path, scratch.with_suffix(".lines")), encoding, scratch)
    broken = wide = False
    if rare:
        with path.open(encoding="utf-8-sig", newline="") as words:
            while piece := words.read(CHUNK):
                broken, wide = broken or REPLACEMENT in piece, wide or WIDE.search(piece) is not None
    return TextFile(path, encoding, broken, odd, wide, lines + (last != b"\n"))


def _whole_ends(file: BinaryIO) -> bytes:
    """The next bytes; a line end of two bytes is not cut."""
    chunk = file.read(CHUNK)
    while chunk.endswith(b"\r") and (more := file.read(1)):
        chunk += more
    return chunk


def _one_line_end(path: Path, target: Path) -> Path:
    """Writes the text to ``target`` with line feeds only."""
    with path.open("rb") as source, target.open("wb") as sink:
        while chunk := _whole_ends(source):
            sink.write(re.sub(rb"\r*\n|\r", b"\n", chunk))
    return target
