"""What a run would do, without doing it: which files it would read and which days it would build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from etl.io.days import byte_copies
from etl.io.parts import Part, list_raw_files, load_part, read_part
from etl.params import EtlParams


def what_would_run(raw: Path, out: Path, params: EtlParams) -> dict[str, Any]:
    """Tells what ``run`` would do with these files and choices. Nothing is written below ``out``.

    A file that no earlier run read is read here into a folder of its own that is removed again, as only its
    rows tell which days it holds; so a dry run takes as long as reading does.

    Returns:
        ``to_read`` and ``read_before`` (names of files), ``copies`` (file → file with the same bytes),
        ``unreadable`` (file → reason), ``rows`` and ``rejected`` of the files that are no copies, before
        repeated ids are left out, ``days`` (day → rows) that would be built, and ``days_left_alone`` (day →
        rows) that lie outside first and last day.

    Raises:
        RawFolderError: no raw folder, or an empty one.
    """
    found = list(_parts(raw, out))
    copies = byte_copies([part for part, _ in found])
    originals = [part for part, _ in found if part.name not in copies]
    days: Counter[str] = Counter()
    for table in (table for part in originals for table in part.tables):
        days.update({day: note.rows for day, note in table.days.items()})
    first, last = str(params.first_day or ""), str(params.last_day or "9999")
    return {
        "to_read": [part.name for part, known in found if not known],
        "read_before": [part.name for part, known in found if known],
        "copies": copies,
        "unreadable": {part.name: part.problem for part, _ in found if part.problem},
        "rows": sum(part.rows for part in originals),
        "rejected": sum(sum(part.rejected.values()) for part in originals),
        "days": {day: days[day] for day in sorted(days) if first <= day <= last},
        "days_left_alone": {day: days[day] for day in sorted(days) if not first <= day <= last},
    }


def in_words(found: dict[str, Any]) -> str:
    """The same for a person, one line per file and day."""
    lines = [f"{len(found['to_read'])} files to read, {len(found['read_before'])} read before:"]
    lines += [f"  to read      {name}" for name in found["to_read"]]
    lines += [f"  read before  {name}" for name in found["read_before"]]
    lines += [f"  byte copy    {name} of {original}" for name, original in found["copies"].items()]
    lines += [f"  unreadable   {name}: {reason}" for name, reason in found["unreadable"].items()]
    lines.append(f"{len(found['days'])} days to build; {found['rows']} rows, {found['rejected']} refused:")
    lines += [f"  build        {day}  {rows} rows" for day, rows in found["days"].items()]
    lines += [f"  leave alone  {day}  {rows} rows" for day, rows in found["days_left_alone"].items()]
    return "\n".join(lines)


def _parts(raw: Path, out: Path) -> Iterator[tuple[Part, bool]]:
    """What each file holds, and whether an earlier run knew that."""
    for name in list_raw_files(raw):
        known = load_part(raw, name, out)
        if known:
            yield known, True
            continue
        with TemporaryDirectory(prefix="kakou-dry-run-") as folder:
            yield read_part(raw, name, Path(folder)), False
