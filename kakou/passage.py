"""One pass of one vehicle at one gate, and how it is written on the wire.

On the wire a pass is the 12 fields in their contract order joined by TAB, UTF-8. Parsing never raises: a
record that cannot be understood is a ``Reject`` that keeps its bytes.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Final

from kakou.errors import Reject
from kakou.fields import FIELDS, FIELDS_12, TIME_FORMAT

SEPARATOR: Final = "\t"
# One way to write a time, for Python and for SQL engines alike; strptime alone would take "2024-1-5 8:0:0".
TIME_PATTERN: Final = "^[12][0-9]{3}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_TIME = re.compile(TIME_PATTERN.replace("$", r"\Z"))
# Fields that identify: pass id, gate, pass time, plate. The stores ignore spaces at the end of a key, so
# "x1" and "x1 " would be one id there and two here.
KEY_POSITIONS: Final = (0, 2, 4, 6)
REJECT_REASONS: Final = (
    "encoding", "nul", "column_count", "empty_value", "padded_value", "too_long", "bad_time", "bad_flag",
)  # fmt: skip


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
        the pass, or a ``Reject`` whose reason is the first of ``REJECT_REASONS`` that holds. The stream's
        ``spark_jobs.parse`` gives the same reasons in the same order of precedence.
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
    keys = [values[at] for at in KEY_POSITIONS]
    if not all(keys):
        return Reject("empty_value", raw)
    if any(key != key.strip(" ") for key in keys):
        return Reject("padded_value", raw)
    if any(len(value) > field.max_chars for value, field in zip(values, FIELDS, strict=True)):
        return Reject("too_long", raw)
    if not _TIME.match(values[4]):
        return Reject("bad_time", raw)
    try:
        time = datetime.strptime(values[4], TIME_FORMAT)
    except ValueError:
        return Reject("bad_time", raw)
    if values[9] not in ("0", "1") or values[10] not in ("0", "1"):
        return Reject("bad_flag", raw)
    gcxh, xzqhmc, kkmc, fxlx, _, hpzl, hphm, clppxh, province, weekend, peak, vehicle = values
    return Passage(
        gcxh, xzqhmc, kkmc, fxlx, time, hpzl, hphm, clppxh, province, int(weekend), int(peak), vehicle
    )
