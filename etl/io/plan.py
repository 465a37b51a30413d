"""Words: the plan of a merge, and where each day's passes lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kakou.errors import BadInputError

# Raised whenever merging changes, so that days of an older version are made anew.
MERGE_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Source:
    """The passes of a day in one table of a raw file.

    Attributes:
        name: as SOURCE names the table. file: of the passes, below parts/. begun: first day of the table.
    """

    name: str
    file: str
    begun: str


@dataclass(frozen=True, slots=True)
class Day:
    """Where the passes of a day lie.

    Attributes:
        day: ISO day. rows: before repeated ids are left out.
        sources: what holds it. merged: file below days/ that it is merged into; "" if the only source serves
            as it is.
        twins: by name of the source, the earlier days that it repeats.
    """

    day: str
    rows: int
    sources: tuple[Source, ...]
    merged: str = ""
    twins: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the merge will do.

    Attributes:
        days: in order.
        copies: file → file that it repeats. restamped: which day of which file repeats which day.
        duplicates: rows left out, those of copies included. conflicts: rows whose id another pass has.
        outside: rows of days that were not asked for. partial: only some days were.
        left_out: file below days/ with the rows that do not stay, "" for none.
    """

    days: tuple[Day, ...]
    copies: dict[str, str]
    restamped: tuple[dict[str, Any], ...]
    duplicates: int
    conflicts: int
    outside: int
    left_out: str
    partial: bool

    @property
    def to_merge(self) -> list[str]:
        """Days that need a file of their own."""
        return [day.day for day in self.days if day.merged]


def load_plan(out: Path) -> Plan:
    """The plan that ``make_plan`` left.

    Raises:
        BadInputError: there is none.
    """
    try:
        stored = json.loads((out / "steps" / "plan.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{out} lacks the result of step 'plan'; run it, or `kakou etl run`.") from error
    days = tuple(
        Day(
            **{
                **day,
                "sources": tuple(Source(**source) for source in day["sources"]),
                "twins": tuple((name, tuple(twins)) for name, twins in day["twins"]),
            }
        )
        for day in stored["days"]
    )
    return Plan(**{**stored, "days": days, "restamped": tuple(stored["restamped"])})


def digest_of(*facts: Any) -> str:
    """Short digest of what a file is made of, for its name."""
    return hashlib.sha256(json.dumps([MERGE_VERSION, *facts]).encode()).hexdigest()[:16]


def begun(source: Source) -> tuple[str, str]:
    """In this order the first row of an id wins: rows are written again later, not before."""
    return source.begun, source.name


def settled_files(out: Path, days: Iterable[Day]) -> list[Path]:
    """What holds the passes of ``days`` in order of time, once their merged files are there."""
    return [out / "days" / day.merged if day.merged else out / "parts" / day.sources[0].file for day in days]


def raw_files(out: Path, days: Iterable[Day]) -> list[Path]:
    """All that the parts hold of ``days``, in the order in which the first row wins."""
    sources = [(begun(source), day.day, source.file) for day in days for source in day.sources]
    return [out / "parts" / file for _, _, file in sorted(sources)]
