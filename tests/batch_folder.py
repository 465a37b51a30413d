"""Folders of the batch under test: what lies in an output folder, and a raw folder that needs merging."""

from __future__ import annotations

import hashlib
from pathlib import Path


def visible(out: Path) -> dict[str, str]:
    """Digests of the files that a reader may open, by relative name; one may go while this looks."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        if not path.is_dir() and not any(part.startswith(".") for part in name.parts):
            try:
                found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                continue
    return found


def drafts(out: Path) -> list[str]:
    """Names of drafts and scratch folders; a lock is none."""
    return [path.name for path in sorted(out.rglob(".*")) if path.name.endswith(".tmp")]


def share_a_day(raw: Path) -> None:
    """Adds a second file of a day: every other pass of the first CSV file again, and some with new ids."""
    first = min(raw.rglob("*.csv"))
    header, *rows = first.read_bytes().splitlines(keepends=True)
    again, new = rows[::2], [b'"Z' + row.lstrip(b'"') for row in rows[1:40:2]]
    (first.parent / "again.csv").write_bytes(b"".join([header, *again, *new]))


def strange(out: Path, wanted: dict[str, str]) -> list[str]:
    """Names of visible files that are not what an undisturbed run makes: half files, for instance."""
    return sorted(name for name, digest in visible(out).items() if wanted.get(name) != digest)


def unlike(out: Path, wanted: dict[str, str]) -> list[str]:
    """What keeps the folder from being that of an undisturbed run: files strange or missing, and drafts."""
    return [*strange(out, wanted), *sorted(wanted.keys() - visible(out).keys()), *drafts(out)]
