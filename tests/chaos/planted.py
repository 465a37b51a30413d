"""Records for the fault tests: honest cars that stay at their gate, and what is planted among them.

All is drawn from the seed; nothing here reads a clock.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from poison import POISON

from kakou.fields import DIMENSION_COLUMNS, TIME_FORMAT
from kakou.passage import Passage, format_passage

# 46 km apart: 828 s at 200 km/h.
GATES = {f"CH_G{n}": (116.0 + n * 0.5, 34.3) for n in range(8)}
PLATES, RECENT, BULK_PLATES = 1_800, 300, 50_000
SERIAL = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"
EVERY_REPEAT, EVERY_CONFLICT, EVERY_POISON, EVERY_CLONE = 40, 250, 60, 300
LARGEST_POISON = 4_096  # the larger ones are in the test of every run


@dataclass
class Wave:
    """Records in the order in which they are sent; all of one id have one key.

    Attributes:
        ids, keys, values: of each record; a refused record has an id for the producer's log alone.
        clones: ids of the two passes of each planted clone.
        repeats: records that say again what was said.
        refused: how many must be refused, by reason.
    """

    ids: list[str] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    clones: set[tuple[str, str]] = field(default_factory=set)
    repeats: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _first: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def add(self, gcxh: str, key: str, value: bytes) -> None:
        self._first.setdefault(gcxh, len(self))
        self.ids.append(gcxh)
        self.keys.append(key.encode())
        self.values.append(value)

    def cut(self, first: int, end: int) -> Wave:
        """The records ``[first, end)`` as they are sent; what is planted stays with the whole."""
        return Wave(self.ids[first:end], self.keys[first:end], self.values[first:end])


def plant(name: str, count: int, seed: int, until: datetime, span: timedelta, plates: int = PLATES) -> Wave:
    """About ``count`` records whose passes lie in ``span`` before ``until``.

    Args:
        name: begins each id, so that waves of different names share none.
        count: honest passes; what is planted comes on top.
        until: local time.
        plates: of honest cars; one that is seen too often is no car to the detector.
    """
    wave, dice, gates = Wave(), random.Random(f"{seed} {name}"), list(GATES)
    first = (until - span).replace(microsecond=0)
    for n in range(count):
        number = dice.randrange(plates)
        moment = (first + span * n / count).replace(microsecond=0)
        gate, plate, gcxh = gates[number % len(gates)], f"苏C{number:05d}", f"{name}-{n}"
        honest = one_pass(gcxh, plate, gate, moment)
        wave.add(gcxh, plate, format_passage(honest))
        if n % EVERY_CONFLICT == 7:
            other = one_pass(gcxh, plate, dice.choice(gates), moment, brand="另一")
            wave.add(gcxh, plate, format_passage(other))
            wave.refused["id_conflict"] += 1
        if n % EVERY_POISON == 11:
            _, raw, reason = dice.choice([one for one in POISON if len(one[1]) < LARGEST_POISON])
            wave.add(f"{gcxh}-poison", "poison", raw)
            wave.refused[reason] += 1
        if n % EVERY_CLONE == 13:
            _plant_clone(wave, gcxh, "浙A" + "".join(dice.choices(SERIAL, k=5)), moment)
        if n % EVERY_REPEAT == 17:
            _repeat(wave, dice)
    return wave


def one_pass(gcxh: str, plate: str, gate: str, time: datetime, brand: str = "大众牌") -> Passage:
    return Passage(gcxh, "丰县", gate, "1", time, "02", plate, brand, "江苏", 0, 0, "小型汽车")


def _plant_clone(wave: Wave, gcxh: str, plate: str, moment: datetime) -> None:
    gates = list(GATES)
    pair = (f"{gcxh}-a", f"{gcxh}-b")
    places = ((gates[0], moment), (gates[-1], moment + timedelta(seconds=40)))
    for one, (gate, time) in zip(pair, places, strict=True):
        wave.add(one, plate, format_passage(one_pass(one, plate, gate, time)))
    wave.clones.add(pair)


def _repeat(wave: Wave, dice: random.Random) -> None:
    """The first record of one of the latest ids comes again, byte for byte."""
    gcxh = dice.choice(wave.ids[-RECENT:])
    at = wave._first[gcxh]
    if wave.keys[at] != b"poison":
        wave.add(gcxh, wave.keys[at].decode(), wave.values[at])
        wave.repeats += 1


def bulk(name: str, count: int, until: datetime, span: timedelta) -> Wave:
    """So many honest passes and nothing else, made quickly."""
    gates, first = list(GATES), (until - span).replace(microsecond=0)
    times = [(first + timedelta(seconds=at)).strftime(TIME_FORMAT) for at in range(int(span.total_seconds()))]
    wave = Wave()
    for n in range(count):
        number, time = n % BULK_PLATES, times[n * len(times) // count]
        plate, gcxh = f"苏B{number:05d}", f"{name}-{n}"
        gate = gates[number % len(gates)]
        value = f"{gcxh}\t丰县\t{gate}\t1\t{time}\t02\t{plate}\t大众牌\t江苏\t0\t0\t小型汽车"
        wave.ids.append(gcxh)
        wave.keys.append(plate.encode())
        wave.values.append(value.encode())
    return wave


def write_gates(path: Path) -> None:
    """Writes the gates as ``kkmc_dimension.csv``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{name},卡口{name},,丰县,,,,{lon},{lat}" for name, (lon, lat) in GATES.items()]
    path.write_text("\n".join([",".join(DIMENSION_COLUMNS), *rows, ""]), "utf-8")
