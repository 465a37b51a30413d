"""The detector's files: gates, travel times and passes in, alerts out. With ``evidence_files`` and
``plate_file`` the only I/O of this package.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from kakou.alert import Alert
from kakou.detection.knowledge import Knowledge, knows_nothing, with_gates
from kakou.detection.knowledge_bytes import from_bytes
from kakou.detection.learned_rules import rules_of
from kakou.detection.refusals import Refusal, refused_pairs, with_places_left
from kakou.detection.registry import refused_by_registry
from kakou.detection.rule_files import rule_in_force, usual_rule
from kakou.detection.rules import Rules, RuleSettings, build_rules
from kakou.detection.travel import TRAVEL_SCHEMA
from kakou.errors import BadInputError
from kakou.fields import FIELDS_8, TIME_FORMAT
from kakou.settings import Settings
from kakou.whole_files import draft_of

_GATE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "kkmc": pl.String(),
    "name": pl.String(),
    "xzqhmc": pl.String(),
    "road": pl.String(),
    "stake": pl.String(),
    "lon": pl.Float64(),
    "lat": pl.Float64(),
}
_GATE_COLUMNS: Final = ("KKMC", "NAME", "LON", "LAT")
# What the registry is held against where it is given.
_GATE_WORDS: Final = ("XZQHMC", "ROAD", "STAKE")
_TEXT_COLUMNS: Final = ("gcxh", "kkmc", "hpzl", "hphm", "clppxh")
_ORIGIN, _OBSERVED = "ORIGIN", "observed"


@dataclass(frozen=True, slots=True)
class PassesRead:
    """What a file of passes holds.

    Attributes:
        passes: columns ``gcxh, kkmc, hpzl, hphm, clppxh`` (text) and ``t`` (seconds of local time), in the
            order of the file.
        unreadable: rows left out because their time is not readable.
        made_up: rows left out because no gate saw them.
    """

    passes: pl.DataFrame
    unreadable: int
    made_up: int


def read_gates(path: Path) -> pl.DataFrame:
    """Reads gates from a CSV with at least ``KKMC,NAME,LON,LAT``; ``kkmc_dimension.csv`` is one.

    Returns:
        ``kkmc, name, xzqhmc, road, stake`` (text, empty where the file says nothing) and ``lon, lat``
        (degrees as the file has them, which may lie anywhere; null where one of the two is missing).

    Raises:
        BadInputError: the file is missing, lacks a column, or a coordinate is no number.
    """
    frame = _read_text(path, _GATE_COLUMNS, *_GATE_WORDS).rename(str.lower)
    lacking = [name.lower() for name in _GATE_WORDS if name.lower() not in frame.columns]
    frame = frame.with_columns(pl.lit("").alias(name) for name in lacking)
    numbers = frame.with_columns(
        pl.col(name).str.strip_chars().replace("", None).cast(pl.Float64, strict=False).alias(f"_{name}")
        for name in ("lon", "lat")
    )
    for name in ("lon", "lat"):
        wrong = numbers.filter(pl.col(f"_{name}").is_null() & (pl.col(name).str.strip_chars() != ""))
        if len(wrong):
            value, gate = wrong[name][0], wrong["kkmc"][0]
            raise BadInputError(
                f"{path}: {name.upper()} of gate {gate} is {value!r}. Write degrees or leave it empty."
            )
    both = (pl.col("_lon") + pl.col("_lat")).is_finite()
    return numbers.filter(pl.col("kkmc") != "").select(
        "kkmc", "name", "xzqhmc", "road", "stake",
        *(pl.when(both).then(pl.col(f"_{name}")).alias(name) for name in ("lon", "lat")),
    )  # fmt: skip


def registered_gates(settings: Settings) -> pl.DataFrame:
    """The gates of the batch, as ``read_gates``; none before its first run."""
    path = settings.clean_dir / "kkmc_dimension.csv"
    return read_gates(path) if path.exists() else pl.DataFrame(schema=_GATE_SCHEMA)


def read_travel_times(path: Path) -> pl.DataFrame:
    """Reads learned travel times as ``travel.learn`` makes them.

    Raises:
        BadInputError: the file lacks a column, or a number is none.
    """
    frame = _read_text(path, tuple(TRAVEL_SCHEMA))
    try:
        return frame.select(pl.col(name).cast(kind) for name, kind in TRAVEL_SCHEMA.items())
    except pl.exceptions.InvalidOperationError as error:
        raise BadInputError(f"{path}: a number is not readable. Learn the travel times again.") from error


def read_passes(path: Path, origins: str = _OBSERVED) -> PassesRead:
    """Reads the 8 fields in the order of the file.

    Args:
        path: a CSV, or a Parquet artefact of the batch. If it has a column ORIGIN, rows that no gate saw are
            left out; only the Parquet artefacts have it.
        origins: as ``Settings.origins``; ``all`` takes every row.

    Raises:
        BadInputError: the file is missing, cannot be read, or lacks a column.
    """
    read = _read_parquet if path.suffix.lower() == ".parquet" else _read_text
    frame = read(path, FIELDS_8, _ORIGIN)
    taken = frame
    if origins != "all" and _ORIGIN in frame.columns:
        taken = frame.filter(pl.col(_ORIGIN) == _OBSERVED)
    timed = taken.rename(str.lower).select(
        *(pl.col(name).str.strip_chars() for name in _TEXT_COLUMNS),
        pl.col("gcsj").str.strip_chars().str.to_datetime(TIME_FORMAT, strict=False).dt.epoch("s").alias("t"),
    )
    readable = timed.filter(pl.col("t").is_not_null())
    return PassesRead(readable, len(timed) - len(readable), len(frame) - len(taken))


def load_rules(settings: Settings, rule: RuleSettings | None = None) -> Rules:
    """Rules from the files that the batch and the night leave; each of them may be missing yet.

    Args:
        rule: what a person has set; None for the rule in force.
    """
    return _rules_by_times(settings, rule or rule_in_force(settings))[0]


def _rules_by_times(settings: Settings, rule: RuleSettings) -> tuple[Rules, list[Refusal]]:
    """Rules by learned travel times alone, and what the registry contradicts of itself."""
    travel_file = settings.travel_times_file
    gates = registered_gates(settings).unique("kkmc", keep="first", maintain_order=True)
    travel = read_travel_times(travel_file) if travel_file.exists() else pl.DataFrame(schema=TRAVEL_SCHEMA)
    refused = refused_by_registry(gates)
    rules = build_rules(
        with_places_left(gates, refused), travel, limits=rule.limits, fallback_kmh=rule.fallback_kmh,
        weighing=rule.weighing, apart=refused_pairs(refused),
    )  # fmt: skip
    return rules, refused


def load_known(
    settings: Settings, rule: RuleSettings | None = None
) -> tuple[Rules, Knowledge, list[Refusal]]:
    """What detection goes by.

    Args:
        rule: what a person has set; None for the rule in force.

    Returns:
        the rules; what a history taught, if any did yet; and the gates and pairs of gates whose geometry is
        not used.

    Raises:
        BadInputError: a file cannot be read.
        StateFormatError: what was learned was written by another version.
    """
    rule = rule or rule_in_force(settings)
    if not settings.knowledge_file.exists():
        rules, refused = _rules_by_times(settings, rule)
        return rules, knows_nothing(list(rules.gates)), refused
    knowledge = from_bytes(settings.knowledge_file.read_bytes())
    gates = registered_gates(settings)
    knowledge = with_gates(knowledge, gates["kkmc"].unique(maintain_order=True).to_list())
    rules, refused = rules_of(gates, knowledge, rule)
    return rules, knowledge, refused


def places_not_used(settings: Settings) -> list[Refusal]:
    """Gates and pairs of gates whose geometry detection does not use, as ``load_known`` says.

    Raises:
        BadInputError, StateFormatError: as ``load_known``.
    """
    return load_known(settings)[2]


def no_rules(settings: Settings) -> Rules:
    """Rules that know no gate, and so find nothing."""
    nothing = pl.DataFrame(schema=_GATE_SCHEMA), pl.DataFrame(schema=TRAVEL_SCHEMA)
    return build_rules(*nothing, limits=usual_rule(settings).limits)


def demand_writable(out: Path, evidence: Path | None) -> None:
    """Demands that results can be written, before the work is done.

    Raises:
        BadInputError: ``out`` is a folder, ``evidence`` a file, or neither may be made there.
    """
    if out.is_dir():
        raise BadInputError(f"--out {out} is a folder. Name a file in it, such as {out / 'alerts.jsonl'}.")
    if evidence is not None and evidence.exists() and not evidence.is_dir():
        raise BadInputError(f"--evidence {evidence} is a file. Name a folder.")
    for path in (out.parent, evidence):
        if path is not None:
            there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
            if not there.is_dir() or not os.access(there, os.W_OK):
                raise BadInputError(f"{path} cannot be made: {there} is no folder that you may write to.")


def write_alerts(path: Path, alerts: Iterable[Alert]) -> int:
    """Writes one JSON object per line, whole or not at all; returns how many."""
    count = 0
    try:
        with draft_of(path) as draft, draft.open("w", encoding="utf-8") as out:
            for alert in alerts:
                out.write(alert.to_json() + "\n")
                count += 1
    except OSError as error:
        raise BadInputError(f"{path} cannot be written ({error.strerror}). Name another file.") from error
    return count


def _demand_file(path: Path) -> None:
    if path.is_dir():
        raise BadInputError(f"{path} is a folder. Name one file in it.")
    if not path.exists():
        raise BadInputError(f"{path} does not exist. Name a file that does.")
    if path.is_file() and not path.stat().st_size:
        raise BadInputError(f"{path} is empty. Export it again, or name another.")


def _read_parquet(path: Path, columns: tuple[str, ...], *optional: str) -> pl.DataFrame:
    """As ``_read_text``, of a Parquet file; times as in a CSV."""
    _demand_file(path)
    try:
        present = pl.read_parquet_schema(path)
        missing = [name for name in columns if name not in present]
        if missing:
            raise BadInputError(f"{path} lacks the column {', '.join(missing)}. It has: {','.join(present)}.")
        wanted = [*columns, *(name for name in optional if name in present)]
        frame = pl.read_parquet(path, columns=wanted)
    except (OSError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0]
        raise BadInputError(f"{path} cannot be read as Parquet ({why}). Run the batch again.") from error
    times = pl.selectors.temporal().dt.to_string(TIME_FORMAT)
    return frame.with_columns(times).select(pl.col(wanted).cast(pl.String).fill_null(""))


def _read_text(path: Path, columns: tuple[str, ...], *optional: str) -> pl.DataFrame:
    """Named columns of a CSV as text, empty where a value is missing; ``optional`` ones if they are there."""
    _demand_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            header = next(csv.reader(lines), [])
        missing = [name for name in columns if name not in header]
        if missing:
            raise BadInputError(f"{path} lacks the column {', '.join(missing)}. It has: {','.join(header)}.")
        frame = pl.read_csv(path, infer_schema=False, new_columns=header)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        why = str(error).splitlines()[0]
        raise BadInputError(f"{path} cannot be read as a UTF-8 CSV ({why}). Convert the file.") from error
    wanted = [*columns, *(name for name in optional if name in header)]
    return frame.select(pl.col(wanted).fill_null(""))
