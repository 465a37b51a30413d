"""A plate as one number: seven bits for each character, so equal numbers are equal plates and the text can be
read back. Plates that differ in their last characters lie beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from kakou.detection.misreads import SIGNS
from kakou.fields import PROVINCES

# Every character of a whole plate; its number is its place, from 1 on. Files name it, so it may only grow.
ALPHABET: Final = SIGNS + "".join(PROVINCES) + "使挂学警领试超临港澳应急"
LONGEST: Final = 8
BITS: Final = 7
# Of a text that is no plate; no plate has it.
NO_PLATE: Final = -1
Keys = npt.NDArray[np.int64]

_POINTS: Final = np.array([0, *map(ord, ALPHABET)], np.uint32)
_CODES: Final = np.zeros(1 << 16, np.int64)
_CODES[_POINTS] = np.arange(len(_POINTS))
_SHIFTS: Final = np.array([BITS * (LONGEST - 1 - at) for at in range(LONGEST)], np.int64)
_SIGN_CODES: Final = np.arange(1, len(SIGNS) + 1, dtype=np.int64)


def keys_of(plates: Sequence[str]) -> Keys:
    """The numbers of some plates.

    >>> keys_of(["苏C12345", "苏C12346", "苏C12***"]).tolist()
    [24783892750225152, 24783892750225280, -1]
    """
    texts = np.array([*plates, ""], dtype=f"U{LONGEST + 1}")[:-1]
    points = texts.view(np.uint32).reshape(len(texts), LONGEST + 1).astype(np.int64)
    codes = _CODES[np.minimum(points, len(_CODES) - 1)]
    known = ((codes > 0) == (points > 0)).all(axis=1) & (points[:, 0] > 0) & (points[:, LONGEST] == 0)
    return np.where(known, (codes[:, :LONGEST] << _SHIFTS).sum(axis=1), NO_PLATE)


def plates_of(keys: Keys) -> list[str]:
    """The plates behind their numbers.

    >>> plates_of(keys_of(["粤Z1234港", "苏CD12345"]))
    ['粤Z1234港', '苏CD12345']
    """
    codes = (keys[:, None] >> _SHIFTS) & ((1 << BITS) - 1)
    return list(_POINTS[codes].view(f"U{LONGEST}").ravel().tolist())


def keys_around(keys: Keys) -> Keys:
    """Some plates, and all texts that differ from one in one character, as ``misreads.neighbours``; sorted.

    >>> from kakou.detection.misreads import neighbours
    >>> found = plates_of(keys_around(keys_of(["苏C12345"])))
    >>> set(found) == {"苏C12345", *neighbours("苏C12345")}
    True
    """
    found = [keys]
    for shift in _SHIFTS[1:]:
        there = keys[(keys >> shift) & ((1 << BITS) - 1) > 0]
        without = there & ~(np.int64((1 << BITS) - 1) << shift)
        found.append((without[:, None] + (_SIGN_CODES << shift)).ravel())
    return np.unique(np.concatenate(found))
