"""Gate files: rows of ``kkmc_dimension.csv``'s columns, laid over each other, checked, and written whole."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from etl.gate import ALIAS_SEPARATOR, Gate, normal_form
from kakou.errors import BadInputError
from kakou.fields import CODENAME_MAX, DIMENSION_COLUMNS
from kakou.geography import LAT_RANGE, LON_RANGE, in_country
from kakou.whole_files import draft_of

BOUNDARIES: Final = ("", "省际", "市际")
_CODENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
Row = tuple[int, dict[str, str]]


def read_rows(content: bytes, name: str) -> list[Row]:
    """Rows of a gate file with their line; UTF-8 or, as spreadsheets of the country write it, GB18030.

    Raises:
        BadInputError: not such a text, or its columns are not those of ``DIMENSION_COLUMNS``.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError as error:
            raise BadInputError(f"{name} is neither UTF-8 nor GB18030; save it as CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if tuple(reader.fieldnames or ()) != DIMENSION_COLUMNS:
        raise BadInputError(f"{name} must begin with the line {','.join(DIMENSION_COLUMNS)}.")
    rows = []
    for raw in reader:
        if None in raw or None in raw.values():
            raise BadInputError(f"{name} line {reader.line_num} must hold {len(DIMENSION_COLUMNS)} values.")
        row = {column: raw[column].strip() for column in DIMENSION_COLUMNS}
        if any(row.values()):
            rows.append((reader.line_num, row))
    return rows


def overlaid(gates: Sequence[Gate], rows: Iterable[Row], name: str) -> tuple[Gate, ...]:
    """The gates with the rows laid over them, by codename.

    Raises:
        BadInputError: a row, or what comes of all, cannot be; the message names file and line.
    """
    by_code = {gate.kkmc: gate for gate in gates}
    for line, row in rows:
        by_code[row["KKMC"]] = _laid(by_code.get(row["KKMC"]), row, f"{name} line {line}")
    return checked(tuple(sorted(by_code.values(), key=lambda gate: gate.kkmc)), name)


def _laid(old: Gate | None, row: dict[str, str], where: str) -> Gate:
    aliases = tuple(alias for alias in map(str.strip, row["ALIASES"].split(ALIAS_SEPARATOR)) if alias)
    if not old:
        aliases = aliases or ((row["NAME"],) if row["NAME"] else ())
        if not aliases:
            raise BadInputError(f"{where}: '{row['KKMC']}' is a new gate, which needs a name or an alias.")
        old = Gate(row["KKMC"], aliases[0], (), "", "", "", "", lon=None, lat=None)
    lon, lat = old.lon, old.lat
    if row["LON"] or row["LAT"]:
        lon, lat = _degrees(row["LON"], where), _degrees(row["LAT"], where)
    return replace(
        old,
        name=row["NAME"] or old.name,
        aliases=tuple(dict.fromkeys((*old.aliases, *aliases))),
        xzqhmc=row["XZQHMC"] or old.xzqhmc,
        road=row["ROAD"] or old.road,
        stake=row["STAKE"] or old.stake,
        boundary=row["BOUNDARY"] or old.boundary,
        lon=lon,
        lat=lat,
    )


def checked(gates: tuple[Gate, ...], name: str) -> tuple[Gate, ...]:
    """The same gates.

    Raises:
        BadInputError: a codename, a boundary or a place cannot be, or one name stands for two gates.
    """
    owner: dict[str, str] = {}
    for gate in gates:
        _check(gate, name)
        for spelling in (gate.kkmc, *gate.aliases):
            other = owner.setdefault(normal_form(spelling), gate.kkmc)
            if other != gate.kkmc:
                raise BadInputError(
                    f"{name}: '{spelling}' names both {other} and {gate.kkmc}; take it from one of them."
                )
    return gates


def _check(gate: Gate, name: str) -> None:
    if not _CODENAME.fullmatch(gate.kkmc) or len(gate.kkmc) > CODENAME_MAX:
        raise BadInputError(
            f"{name}: codename '{gate.kkmc}' must be 1-{CODENAME_MAX} ASCII letters, digits, _ . or -, "
            "like S325_Suining_K63."
        )
    if gate.boundary not in BOUNDARIES:
        raise BadInputError(f"{name}: BOUNDARY of {gate.kkmc} must be 省际, 市际 or empty.")
    if gate.lon is None or gate.lat is None:
        return
    if not in_country(gate.lon, gate.lat):
        hint = " Are the two exchanged?" if in_country(gate.lat, gate.lon) else ""
        raise BadInputError(
            f"{name}: {gate.kkmc} at LON {gate.lon:g}, LAT {gate.lat:g} is not in the country; LON must lie "
            f"within {LON_RANGE[0]:g}-{LON_RANGE[1]:g}, LAT within {LAT_RANGE[0]:g}-{LAT_RANGE[1]:g}.{hint}"
        )


def row_of(gate: Gate) -> dict[str, str]:
    """A gate as a row of its file."""
    place = ["" if degrees is None else f"{degrees:.6f}" for degrees in (gate.lon, gate.lat)]
    aliases = ALIAS_SEPARATOR.join(gate.aliases)
    words = (gate.kkmc, gate.name, aliases, gate.xzqhmc, gate.road, gate.stake, gate.boundary, *place)
    return dict(zip(DIMENSION_COLUMNS, words, strict=True))


def with_alias(rows: Sequence[dict[str, str]], codename: str, spelling: str) -> list[dict[str, str]]:
    """The rows of an overlay with one alias more; a row that it adds says nothing else of its gate."""
    mended = [dict(row) for row in rows]
    row = next((one for one in mended if one["KKMC"] == codename), None)
    if row is None:
        row = dict.fromkeys(DIMENSION_COLUMNS, "") | {"KKMC": codename}
        mended.append(row)
    # A new gate of the overlay whose only alias is its name must keep that one.
    aliases = [*row["ALIASES"].split(ALIAS_SEPARATOR), row["NAME"], spelling]
    row["ALIASES"] = ALIAS_SEPARATOR.join(dict.fromkeys(filter(None, aliases)))
    return mended


def write_overlay(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Writes a person's gate file, whole or not at all; what is there already is replaced."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, DIMENSION_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with draft_of(path, durable=True) as draft:
        # With a byte-order mark, as a person's spreadsheet would else show it garbled.
        draft.write_text(text.getvalue(), encoding="utf-8-sig", newline="")


def _degrees(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadInputError(
            f"{where}: LON and LAT must both be degrees such as 117.18, or both empty."
        ) from error
