"""The counts of reading and merging: each row read is kept, a duplicate, refused or out of range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from etl.io.parts import Part, safe_name
from etl.io.plan import Plan
from kakou.errors import StorageError


def refused_rows(parts: Sequence[Part]) -> int:
    """Rows that could not be understood, over all files."""
    return sum(sum(part.rejected.values()) for part in parts)


def read_counts(parts: Sequence[Part], copies: Mapping[str, str]) -> dict[str, Any]:
    """Counts of reading: ``rows`` that are passes, ``refused`` ones, ``rejected`` by reason, ``files``.

    A reason that begins with ``file_`` counts files.

    Args:
        copies: file → file that it repeats.
    """
    rejected: Counter[str] = Counter()
    for part in parts:
        rejected.update(part.rejected)
        if part.problem:
            rejected[part.problem] += 1
    return {
        "rows": sum(part.rows for part in parts),
        "refused": refused_rows(parts),
        "rejected": dict(sorted(rejected.items())),
        "files": [_file(part, copies.get(part.name)) for part in parts],
    }


def _file(part: Part, copy_of: str | None) -> dict[str, Any]:
    refused = sum(part.rejected.values())
    return {
        "name": part.name,
        "rows": part.rows,
        "encoding": part.encoding,
        "copy_of": copy_of,
        "problem": part.problem or None,
        "missing_fields": list(part.missing),
        "rejected": refused,
        "rejected_in": f"rejected/{safe_name(part.name)}.jsonl" if refused or part.problem else None,
    }


def merge_counts(read: Mapping[str, Any], plan: Plan, kept: int) -> dict[str, Any]:
    """The report's counts of reading and merging.

    ``rows_read + rows_of_earlier_runs = rows_kept + rows_duplicate + rejected rows + rows_outside_range``;
    the two last named are zero unless only some days were asked for.

    Args:
        read: what ``read_counts`` gave. kept: rows of the merged artefact.

    Raises:
        StorageError: rows are missing or too many, so the artefacts must not be trusted.
    """
    earlier = kept + plan.duplicates + plan.conflicts + plan.outside - read["rows"]
    if earlier < 0 or (earlier and not plan.partial):
        raise StorageError(
            f"{read['rows']} passes were read, but {kept} kept, {plan.duplicates} duplicate and "
            f"{plan.conflicts} in conflict do not add up to them; remove the output folder and run again."
        )
    rejected = dict(read["rejected"])
    if plan.conflicts:
        rejected["id_conflict"] = plan.conflicts
    return {
        "rows_read": read["rows"] + read["refused"],
        "rows_kept": kept,
        "rows_duplicate": plan.duplicates,
        "rejected": dict(sorted(rejected.items())),
        "files": read["files"],
        "restamped": [dict(one) for one in plan.restamped],
        "rows_outside_range": plan.outside,
        "rows_of_earlier_runs": earlier,
    }
