"""One pass of one vehicle at one gate, and how it is written on the wire.

On the wire a pass is the 12 fields in their contract order joined by TAB, UTF-8. Parsing never raises: a
record that cannot be understood is a ``Reject`` that keeps its bytes.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Final

from kakou.errors import Reject
from kakou.fields import FIELDS, FIELDS_12, TIME_FORMAT

SEPARATOR: Final = "\t"


@dataclass(frozen=True, slots=True)
class Passage:
    """The 12 fields. ``gcsj`` is local time in the platform's zone, without an offset."""

    gcxh: str
    xzqhmc: str
    kkmc: str
    fxlx: str
    gcsj: datetime
    hpzl: str
    hphm: str
    clppxh: str
    province: str
    is_weekend: int
    is_peak_hour: int
    vehicle_type_name: str


def format_passage(passage: Passage) -> bytes:
    """Wire form of a pass. A value must hold no TAB and no line break; ``check_values`` says so first."""
    values = list(astuple(passage))
    values[4] = passage.gcsj.strftime(TIME_FORMAT)
    return SEPARATOR.join(str(value) for value in values).encode()


def parse_passage(raw: bytes) -> Passage | Reject:
    """Reads the wire form.

    Returns:
        the pass, or a ``Reject`` whose reason is one of ``encoding``, ``nul``, ``column_count``, ``empty_value``,
        ``too_long``, ``bad_time``, ``bad_flag``. The same reasons, in the same order of precedence, as the stream's.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Reject("encoding", raw)
    if "\x00" in text:
        return Reject("nul", raw)
    values = text.split(SEPARATOR)
    if len(values) != len(FIELDS_12):
        return Reject("column_count", raw)
    if not (values[0] and values[2] and values[4] and values[6]):
        return Reject("empty_value", raw)
    if any(len(value) > field.max_chars for value, field in zip(values, FIELDS, strict=True)):
        return Reject("too_long", raw)
    try:
        time = datetime.strptime(values[4], TIME_FORMAT)  # noqa: DTZ007 - local time by contract
    except ValueError:
        return Reject("bad_time", raw)
    if values[9] not in ("0", "1") or values[10] not in ("0", "1"):
        return Reject("bad_flag", raw)
    return Passage(
        *values[:4], time, *values[5:9], int(values[9]), int(values[10]), values[11]
    )  # type: ignore[call-arg, arg-type]
