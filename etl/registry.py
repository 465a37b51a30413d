"""The gate registry: which spellings name one gate, and what is known about it.

A spelling that is not in the registry gets a *proposed* codename of its own. It is never taken for a known
gate because it looks alike: ``K10`` and ``K01`` are two roadsides. A person decides with ``kakou gates``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from etl.gate import ALIAS_SEPARATOR, Gate, normal_form
from etl.gate_file import checked, overlaid, read_rows
from etl.gate_proposals import propose

__all__ = ["ALIAS_SEPARATOR", "Gate", "known_gates", "resolve"]

_PACKAGE_FILE = "etl/data/gates.csv"


def known_gates(overlay: Path | None = None) -> tuple[Gate, ...]:
    """The gates that a person has confirmed, by codename.

    Args:
        overlay: a person's own file, laid over the package's: a row with a known codename adds its aliases
            and replaces what it fills in, any other row is a further gate. Nothing happens if it is missing.

    Raises:
        BadInputError: the file cannot be used; the message names the line.
    """
    packaged = _packaged_gates()
    if overlay is None or not overlay.exists():
        return packaged
    return overlaid(packaged, read_rows(overlay.read_bytes(), str(overlay)), str(overlay))


def resolve(
    spellings: Iterable[tuple[str, str | None]], gates: Sequence[Gate] | None = None
) -> dict[str, Gate]:
    """Maps each (spelling, district) to its gate: a known one, else a proposed one.

    Known is an exact alias, a codename, or a writing of one of these that differs in width, case, blanks and
    invisible characters only (``normal_form``). Two unknown spellings get one gate only if they are such
    writings of each other. The answer depends on the set of spellings, not on their order.

    Args:
        spellings: may hold one spelling with several districts, or with none.
        gates: the registry; default is the package's.
    """
    known = known_gates() if gates is None else gates
    by_name, by_form = _index(known)
    districts: dict[str, set[str]] = {}
    for spelling, district in spellings:
        districts.setdefault(spelling, set()).add(district or "")
    answer: dict[str, Gate] = {}
    unknown: dict[str, list[str]] = {}
    for spelling in sorted(districts):
        form = normal_form(spelling)
        gate = by_name.get(spelling) or by_form.get(form)
        if gate:
            answer[spelling] = gate
        else:
            unknown.setdefault(form or spelling, []).append(spelling)
    taken = {gate.kkmc for gate in known}
    for writings in unknown.values():
        seen = {district for one in writings for district in districts[one] if district}
        proposed = propose(writings, min(seen, default=""), taken, known)
        taken.add(proposed.kkmc)
        answer |= dict.fromkeys(writings, proposed)
    return answer


@cache
def _packaged_gates() -> tuple[Gate, ...]:
    content = resources.files("etl").joinpath("data/gates.csv").read_bytes()
    return checked(overlaid((), read_rows(content, _PACKAGE_FILE), _PACKAGE_FILE), _PACKAGE_FILE)


def _index(gates: Sequence[Gate]) -> tuple[Mapping[str, Gate], Mapping[str, Gate]]:
    names = [(name, gate) for gate in gates for name in (gate.kkmc, *gate.aliases)]
    return dict(names), {normal_form(name): gate for name, gate in names}
