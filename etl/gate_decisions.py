"""What a person decides about gates: which spellings wait, and what becomes of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from etl.gate import ALIAS_SEPARATOR, Gate
from etl.gate_file import overlaid, read_rows, row_of, with_alias, write_overlay
from etl.gate_proposals import why_not
from etl.io.artefacts import MERGED, open_artefact, parquet_of
from etl.io.engine import engine
from etl.registry import known_gates, resolve
from etl.steps.standardise import evidence, spellings
from kakou.errors import BadInputError
from kakou.process_lock import one_after_another


@dataclass(frozen=True, slots=True)
class Proposal:
    """An unknown gate and what the passes say about it.

    Attributes:
        gate: as proposed; its aliases are all writings that occur.
        passes, days: passes under it, days with at least one; ``first`` and ``last`` of these.
        districts: what the passes call its district.
        looks_like: codename and spelling of the known gate that it looks like, or None.
        why_zh, why_en: why it was not taken for that one.
    """

    gate: Gate
    passes: int
    days: int
    first: date
    last: date
    districts: tuple[str, ...]
    looks_like: tuple[str, str] | None
    why_zh: str
    why_en: str


def proposals(out: Path, overlay: Path | None) -> list[Proposal]:
    """The unknown gates of the merged passes below ``out``, most passes first.

    Raises:
        BadInputError: nothing was merged there yet.
    """
    if not parquet_of(out, MERGED).exists():
        raise BadInputError(
            f"{out} holds no merged passes; run `kakou etl run`, or name its folder by --out."
        )
    known = known_gates(overlay)
    with engine(out) as con:
        passes = open_artefact(con, out, MERGED)
        gates = resolve([(name, place) for name, place, _ in spellings(passes).fetchall()], known)
        unknown = sorted(name for name, gate in gates.items() if gate.proposed)
        seen = {row[0]: row[1:] for row in evidence(passes, unknown).fetchall()}
    owner = {alias: gate.kkmc for gate in known for alias in gate.aliases}
    proposed = {gates[name].kkmc: gates[name] for name in unknown}.values()
    found = [_proposal(gate, [seen[name] for name in gate.aliases], owner) for gate in proposed]
    return sorted(found, key=lambda one: (-one.passes, one.gate.kkmc))


def _proposal(
    gate: Gate, seen: Sequence[tuple[int, list[date], list[str]]], owner: dict[str, str]
) -> Proposal:
    alike = gate.looks_like
    zh, en = why_not(gate.name, alike)
    days = {day for one in seen for day in one[1]}
    return Proposal(
        gate,
        passes=sum(one[0] for one in seen),
        days=len(days),
        first=min(days),
        last=max(days),
        districts=tuple(sorted({place for one in seen for place in one[2]})),
        looks_like=(owner[alike], alike) if alike else None,
        why_zh=zh,
        why_en=en,
    )


def accept_alias(overlay: Path, spelling: str, codename: str) -> Gate:
    """Makes ``spelling`` an alias of the known gate ``codename`` in a person's gate file.

    Raises:
        BadInputError: no such gate, or the spelling names another one already.
    """
    with one_after_another(_lock_of(overlay)):
        known = {gate.kkmc: gate for gate in known_gates(overlay)}
        if codename not in known:
            near = ", ".join(get_close_matches(codename, known, n=3)) or "see `kakou gates list`"
            raise BadInputError(f"No gate has the codename {codename} ({near}).")
        _check_spelling(spelling)
        named = resolve([(spelling, "")], tuple(known.values()))[spelling]
        if named.kkmc == codename:
            return named
        if not named.proposed:
            raise BadInputError(f"'{spelling}' names {named.kkmc} already; take it from that gate first.")
        gates = _write(overlay, with_alias(_rows(overlay), codename, spelling))
    return next(gate for gate in gates if gate.kkmc == codename)


def accept_gate(overlay: Path, gate: Gate) -> Gate:
    """Adds a proposed gate to a person's gate file.

    Raises:
        BadInputError: its codename is taken, or one of its names stands for another gate.
    """
    with one_after_another(_lock_of(overlay)):
        if any(one.kkmc == gate.kkmc for one in known_gates(overlay)):
            raise BadInputError(f"The codename {gate.kkmc} is taken; choose another with --codename.")
        for alias in gate.aliases:
            _check_spelling(alias)
        gates = _write(overlay, [*_rows(overlay), row_of(gate)])
    return next(one for one in gates if one.kkmc == gate.kkmc)


def _write(overlay: Path, rows: list[dict[str, str]]) -> tuple[Gate, ...]:
    """Writes the rows only if they make a registry."""
    gates = overlaid(known_gates(), list(enumerate(rows, start=2)), str(overlay))
    write_overlay(overlay, rows)
    return gates


def _rows(overlay: Path) -> list[dict[str, str]]:
    return [row for _, row in read_rows(overlay.read_bytes(), str(overlay))] if overlay.exists() else []


def _lock_of(overlay: Path) -> Path:
    return overlay.with_name(f".{overlay.name}.lock")


def _check_spelling(spelling: str) -> None:
    if not spelling.strip() or ALIAS_SEPARATOR in spelling or any(sign in spelling for sign in "\r\n\0"):
        raise BadInputError(
            f"'{spelling}' cannot be an alias: it is empty, or holds a line end or {ALIAS_SEPARATOR}, which "
            "stands between aliases."
        )
