"""What can be wrong with a raw folder, each fault by its name, and what was planted so that a test can check
that it was found.

A fault draws from a source of chance of its own: with one fault more, all other bytes stay as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from etl.generate.profile import TrafficProfile
from etl.generate.trips import Passes, midnight
from etl.generate.vehicles import DIGITS, LETTERS, StrArray, Vehicles, join_marks, repeated
from kakou.errors import BadInputError
from kakou.fields import MISSING

FAULTS: Final[dict[str, str]] = {
    "copied_file": "the same bytes under another day's name",
    "partial_day": "a file that holds some hours of its day only",
    "short_plates": "reads that lost the province, or nearly all, or everything",
    "quoted_codes": "plate type codes typed as text into a spreadsheet: '2",
    "restamped_day": "a day's passes once more, with new ids and another date",
    "silent_gate": "hours in which a busy gate reported nothing",
    "special_plates": "trailers, police, coaches for learners, Hong Kong, Macau and embassies",
    "blank_lines": "empty lines in the middle and at the end of one CSV file in eight",
}
DEFAULT_FAULTS: Final = frozenset({"copied_file", "partial_day", "short_plates", "quoted_codes"})
# Mark of a special plate → its share among them and its plate type code (GA 24.7).
SPECIAL_PLATES: Final[dict[str, tuple[float, str]]] = {
    "挂": (0.50, "15"), "警": (0.20, "23"), "学": (0.15, "16"), "使": (0.07, "03"),
    "港": (0.05, "26"), "澳": (0.03, "27"),
}  # fmt: skip
SPECIAL_SHARE: Final = 0.004  # of the vehicles
DAYS_PER_SILENCE: Final = 7
BLANK_LINES, BLANK_LINES_AT_END, FILES_PER_BLANK = 3, 2, 8


@dataclass(frozen=True, slots=True)
class Silence:
    """A gate that reported nothing from ``first`` to before ``last`` (hours of ``day``)."""

    gate: int
    day: date
    first: int
    last: int


def parse_faults(text: str) -> frozenset[str]:
    """Reads ``default``, ``all``, ``none`` or names with commas between; ``default,silent_gate`` adds one.

    >>> sorted(parse_faults("silent_gate,blank_lines"))
    ['blank_lines', 'silent_gate']

    Raises:
        BadInputError: a name that is no fault.
    """
    groups = {"default": DEFAULT_FAULTS, "all": frozenset(FAULTS), "none": frozenset[str]()}
    chosen: set[str] = set()
    for name in (part.strip() for part in text.split(",") if part.strip()):
        if name not in groups and name not in FAULTS:
            known = ", ".join((*groups, *FAULTS))
            raise BadInputError(f"Nobody knows a fault '{name}'; there are {known}.")
        chosen |= groups.get(name, frozenset({name}))
    return frozenset(chosen)


def silences(profile: TrafficProfile, days: Sequence[date], rng: np.random.Generator) -> list[Silence]:
    """Draws one silence a week, at least one: four to eight hours by day at one of the ten busiest gates."""
    busiest = np.argsort(profile.flow.sum(axis=(0, 2)))[::-1][:10]
    count = max(1, len(days) // DAYS_PER_SILENCE)
    which = rng.choice(len(days), count, replace=False)
    drawn = zip(which.tolist(), rng.choice(busiest, count).tolist(), rng.integers(6, 15, count).tolist(),
                rng.integers(4, 9, count).tolist(), strict=True)  # fmt: skip
    return sorted(
        (Silence(gate, days[day], first, first + hours) for day, gate, first, hours in drawn),
        key=lambda one: (one.day, one.gate),
    )


def heard(passes: Passes, silent: Silence) -> NDArray[np.bool_]:
    """For each pass whether it is outside the silence."""
    start = midnight(silent.day)
    during = (passes.at >= start + silent.first * 3600) & (passes.at < start + silent.last * 3600)
    outside: NDArray[np.bool_] = ~(during & (passes.gate == silent.gate))
    return outside


def specialise(vehicles: Vehicles, rng: np.random.Generator) -> tuple[Vehicles, StrArray]:
    """Gives some vehicles a special plate and its plate type; no two vehicles get the same.

    Returns:
        the vehicles, and for each the mark of its special plate, empty for an ordinary one.
    """
    rows = np.flatnonzero(rng.random(len(vehicles.plate)) < SPECIAL_SHARE)
    share = np.array([one[0] for one in SPECIAL_PLATES.values()])
    marks = np.array(list(SPECIAL_PLATES))[rng.choice(len(share), len(rows), p=share / share.sum())]
    plates = _special(vehicles.plate[rows], marks, rng)
    while (again := repeated(plates)).any():
        plates[again] = _special(vehicles.plate[rows][again], marks[again], rng)
    plate, plate_type = vehicles.plate.copy(), vehicles.plate_type.copy()
    mark = np.full(len(plate), "", dtype="U1")
    plate[rows], mark[rows] = plates, marks
    plate_type[rows] = [SPECIAL_PLATES[one][1] for one in marks.tolist()]
    return replace(vehicles, plate=plate, plate_type=plate_type), mark


def _special(ordinary: StrArray, marks: StrArray, rng: np.random.Generator) -> StrArray:
    """One plate of each mark; its province and letter are those of the ordinary plate, where it has any."""
    serial = DIGITS[rng.integers(0, 10, (len(marks), 6))]
    serial[:, 1] = LETTERS[rng.integers(0, 24, len(marks))]
    prefix = np.where(np.isin(marks, ["港", "澳"]), "粤Z", ordinary.astype("U2"))
    plate = np.char.add(np.char.add(prefix, join_marks(serial[:, :4])), marks)
    embassy = np.char.add("使", join_marks(DIGITS[rng.integers(0, 10, (len(marks), 6))]))
    return np.where(marks == "使", embassy, plate).astype("U8")


def shorten(plate: StrArray, share: float, rng: np.random.Generator) -> StrArray:
    """Some reads lose the province, or all but one or two marks, or everything."""
    spoiled = plate.copy()
    rows = np.flatnonzero(rng.random(len(plate)) < share)
    kinds = rng.choice(5, len(rows), p=(0.06, 0.05, 0.07, 0.12, 0.70))
    for row, kind in zip(rows.tolist(), kinds.tolist(), strict=True):
        whole = str(plate[row])
        spoiled[row] = (MISSING, whole[-1], whole[1:3], whole[1:4], whole[1:])[kind]
    return spoiled


def with_blank_lines(text: str, rng: np.random.Generator) -> tuple[str, list[int]]:
    """Puts empty lines between the rows and behind the last; returns the text and their numbers, from 1."""
    lines = text.splitlines()
    places = sorted(rng.choice(np.arange(1, len(lines) + 1), min(BLANK_LINES, len(lines)), replace=False))
    for place in reversed(places):
        lines.insert(int(place), "")
    lines += [""] * BLANK_LINES_AT_END
    return "\n".join(lines) + "\n", [number for number, line in enumerate(lines, start=1) if not line]


def planted_silence(profile: TrafficProfile, silent: Silence, lost: int) -> dict[str, Any]:
    """The truth about one silence, as the caller gets it."""
    return {
        "gate": list(profile.spellings[silent.gate]), "day": silent.day.isoformat(),
        "from_hour": silent.first, "to_hour": silent.last, "passes_lost": lost,
    }  # fmt: skip
