"""Misread plates: neighbours that differ in one character, and how often a camera takes one for the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from kakou.detection.trips import SAME_READ_SECONDS

SIGNS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
# Before anything is learned: of a hundred reads three are wrong, half of them between characters that look
# alike.
_ASSUMED: Final = 0.03
# Share of misreads beside which the same pass was read rightly, too.
_ASSUMED_AGAIN: Final = 0.02
_ALIKE: Final = [
    "0D",
    "0Q",
    "0C",
    "8B",
    "8S",
    "5S",
    "2Z",
    "17",
    "1T",
    "6G",
    "38",
    "35",
    "9P",
    "UV",
    "EF",
    "MN",
    "HN",
    "PR",
    "KX",
    "DQ",
    "4A",
]
_PLACES: Final = 6  # characters of a plate that are commonly misread; the province is not
_SAMPLE: Final = 15_000
_BETWEEN_S: Final = 7200
_SIGMAS: Final = 3.5
_PRIOR_READS: Final = 2.0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """How often a character is read as another one.

    Attributes:
        rate: reads of a character that show another, by ``(character, as what)``, per occurrence.
        elsewhere: the same for a pair that was never seen.
        misread: share of all reads with a wrong character.
        again: share of those beside which the same pass was read rightly, too.
    """

    rate: dict[tuple[str, str], float]
    elsewhere: float
    misread: float
    again: float = _ASSUMED_AGAIN

    def of(self, plate: str, read: str) -> float:
        """Share of the reads of ``plate`` that show ``read``, which differs in one character."""
        for true, shown in zip(plate, read, strict=True):
            if true != shown:
                return self.rate.get((true, shown), self.elsewhere)
        return 0.0


def no_confusion() -> Confusion:
    """Assumed before a history tells better."""
    each = _ASSUMED / _PLACES * 0.5
    rate = {}
    for pair in _ALIKE:
        rate[pair[0], pair[1]] = rate[pair[1], pair[0]] = each / 2
    return Confusion(rate, _ASSUMED / _PLACES * 0.5 / len(SIGNS), _ASSUMED)


def neighbours(plate: str) -> Iterator[str]:
    """Every text that differs from ``plate`` in one character behind the province."""
    for at in range(1, len(plate)):
        head, tail = plate[:at], plate[at + 1 :]
        for sign in SIGNS:
            if sign != plate[at]:
                yield head + sign + tail


def learn_confusion(whole: pl.DataFrame, usual: Floats, spread: Floats) -> Confusion:
    """Learns from plates that were read once in all the history.

    Such a read is explained by a neighbour that passed a gate before it and one after it, at the times that
    the road wants, and was not read in between. Each such explanation is one read of one character as
    another; of all reads only some lie between two others, so the counts are scaled by their share.

    Args:
        whole: ``hphm``, ``code``, ``t`` by (plate, time), repeated reads taken out.
        usual, spread: travel times by (from, to) code.
    """
    plates = whole["hphm"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], plates[1:] != plates[:-1]]))
    counts = np.diff(np.concatenate([starts, [len(plates)]]))
    names = plates[starts]
    code, t = whole["code"].to_numpy(), whole["t"].to_numpy()
    place = {
        name: (int(start), int(start + n))
        for name, start, n in zip(names, starts, counts, strict=True)
        if n >= 3
    }
    single = starts[counts == 1]
    if not len(place) or not len(single):
        return no_confusion()
    step = max(1, len(single) // _SAMPLE)
    seen: defaultdict[tuple[str, str], int] = defaultdict(int)
    twice = 0
    for at in single[::step].tolist():
        read, gate, moment = str(plates[at]), int(code[at]), int(t[at])
        for plate in neighbours(read):
            if plate not in place:
                continue
            low, high = place[plate]
            beside = np.abs(t[low:high] - moment) <= SAME_READ_SECONDS
            twice += step * bool((beside & (code[low:high] == gate)).any())
            if _lies_between(place[plate], code, t, gate, moment, usual, spread):
                true, shown = next((a, b) for a, b in zip(plate, read, strict=True) if a != b)
                seen[true, shown] += step
    between = _share_between(code, t, plates)
    occurrences = _occurrences(names, counts)
    every = sum(seen.values()) / max(between, 0.05)
    misread = float(np.clip(every / len(plates), 0.001, 0.2))
    flat = misread / _PLACES / len(SIGNS) * 0.2
    rate = {}
    for (true, shown), n in seen.items():
        rate[true, shown] = (n / max(between, 0.05) + _PRIOR_READS * flat) / (
            occurrences.get(true, 0) + _PRIOR_READS
        )
    # Few tell: what is assumed counts as much as a hundred of them.
    again = (twice + 100 * _ASSUMED_AGAIN) / (every + twice + 100)
    return Confusion(rate, flat, misread, again)


def _lies_between(
    place: tuple[int, int], code: npt.NDArray[np.int64], t: npt.NDArray[np.int64], gate: int, moment: int,
    usual: Floats, spread: Floats,
) -> bool:  # fmt: skip
    low, high = place
    after = low + int(np.searchsorted(t[low:high], moment))
    if after in (low, high):
        return False
    start, end = int(code[after - 1]), int(code[after])
    if gate in (start, end):
        return False
    return _fits(moment - t[after - 1], usual[start, gate], spread[start, gate]) and _fits(
        t[after] - moment, usual[gate, end], spread[gate, end]
    )


def _fits(seconds: float, usual: float, spread: float) -> bool:
    return bool(0 < seconds < _BETWEEN_S and abs(np.log(seconds / usual)) < _SIGMAS * max(spread, 0.08))


def _share_between(
    code: npt.NDArray[np.int64], t: npt.NDArray[np.int64], plates: npt.NDArray[np.object_]
) -> float:
    """Share of reads with a read of the same plate at another gate in the two hours before and after."""
    same = plates[1:] == plates[:-1]
    near = same & (t[1:] - t[:-1] < _BETWEEN_S) & (code[1:] != code[:-1])
    return float((near[:-1] & near[1:]).sum() / max(1, len(plates)))


def _occurrences(names: npt.NDArray[np.object_], counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Reads of each character behind the province."""
    total: defaultdict[str, int] = defaultdict(int)
    frame = pl.DataFrame({"name": names.astype(str), "n": counts})
    for at in range(1, 8):
        for sign, n in frame.group_by(pl.col("name").str.slice(at, 1)).agg(pl.col("n").sum()).iter_rows():
            if sign:
                total[sign] += int(n)
    return dict(total)
