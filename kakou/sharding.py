"""The consistent-hash ring of MyCat 1.6, so that we place a row where MyCat would.

Source: the description of MyCat's ``PartitionByMurmurHash`` rule. A node ``i`` owns ``virtual_bucket_times``
points; the text hashed for its n-th point *grows*: ``SHARD-i-NODE-0``, then ``SHARD-i-NODE-0-NODE-1`` ...
A key belongs to the first point at or above its own hash in signed order, wrapping at the top. Hashes are
murmur3 x86 32 bit over the UTF-16 code units of the text, two bytes each, little endian.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_C1: Final = 0xCC9E2D51
_C2: Final = 0x1B873593
_MASK: Final = 0xFFFFFFFF


def _rotl(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix_key(k: int) -> int:
    return (_rotl((k * _C1) & _MASK, 15) * _C2) & _MASK


def murmur3_32_utf16(text: str, seed: int) -> int:
    """Murmur3 x86 32 bit of the UTF-16 code units of ``text``, as a signed 32-bit number.

    >>> murmur3_32_utf16("", 0)
    0
    """
    data = text.encode("utf-16-le", "surrogatepass")
    h = seed & _MASK
    whole = len(data) - len(data) % 4
    for i in range(0, whole, 4):
        h ^= _mix_key(int.from_bytes(data[i : i + 4], "little"))
        h = (_rotl(h, 13) * 5 + 0xE6546B64) & _MASK
    if len(data) > whole:
        h ^= _mix_key(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _MASK
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _MASK
    h ^= h >> 16
    return h - (1 << 32) if h & 0x80000000 else h


@dataclass(frozen=True, slots=True)
class Ring:
    """A ready ring; build it with ``build_ring``.

    Attributes:
        nodes: names of the data nodes in the order of ``schema.xml``.
        points: sorted signed hashes of the virtual points.
        owners: for each point the index into ``nodes``.
    """

    nodes: tuple[str, ...]
    points: tuple[int, ...]
    owners: tuple[int, ...]
    seed: int

    def locate(self, key: str) -> str:
        """Name of the node that holds ``key``, a gate's codename."""
        at = bisect.bisect_left(self.points, murmur3_32_utf16(key, self.seed))
        return self.nodes[self.owners[at if at < len(self.points) else 0]]


def build_ring(nodes: Sequence[str], *, seed: int = 0, virtual_bucket_times: int = 160) -> Ring:
    """Builds the ring over ``nodes``; a later node wins a point that two nodes share, as in MyCat's map.

    A ring never changes and takes 60 ms to build, so the last few are kept.
    """
    return _build(tuple(nodes), seed, virtual_bucket_times)


@lru_cache(maxsize=8)
def _build(nodes: tuple[str, ...], seed: int, virtual_bucket_times: int) -> Ring:
    owner_of: dict[int, int] = {}
    for index in range(len(nodes)):
        name = f"SHARD-{index}"
        for n in range(virtual_bucket_times):
            name += f"-NODE-{n}"
            owner_of[murmur3_32_utf16(name, seed)] = index
    points = tuple(sorted(owner_of))
    return Ring(nodes, points, tuple(owner_of[p] for p in points), seed)
