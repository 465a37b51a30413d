"""A clock that jumps in the middle of the day makes a crowd of contradictions; many clones in heavy traffic
make none."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import polars as pl
import pytest
from gates_in_a_row import GATES, REGISTRY, Row, drive, frame, honest

from kakou.alert import CLONED, Alert
from kakou.detection.casebook import Casebook
from kakou.detection.clocks import no_clocks
from kakou.detection.contradictions import contradictions_of
from kakou.detection.crowds import SLOT_S, Crowd, Pair, count_traffic
from kakou.detection.horizon import Context, Look, Past
from kakou.detection.horizon import Row as Pass
from kakou.detection.knowledge import Knowledge, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.memory import Memory
from kakou.detection.rules import Limits, Rules, RuleSettings
from kakou.detection.state import BATCH_SCHEMA
from kakou.detection.times import stamp_of

NOON = 10 * SLOT_S * 48 + 24 * SLOT_S
BACK = 900


@pytest.fixture(scope="module")
def known() -> tuple[Knowledge, Rules]:
    knowledge = learn_knowledge(frame(honest(4)), list(GATES))
    return knowledge, rules_of(REGISTRY, knowledge, RuleSettings(Limits()))[0]


def pair(plate: str, t: int) -> Pair:
    return Pair(plate, "A", t, "B", t + 60)


def crowd_of(known: tuple[Knowledge, Rules], pairs: list[Pair], passes: int) -> Crowd:
    """At gate B ``passes`` passed in the half hour."""
    knowledge, rules = known
    traffic: dict[tuple[str, int], int] = {}
    every = pl.DataFrame(
        {"kkmc": ["B"] * passes, "t": [NOON] * passes}, schema={"kkmc": pl.String, "t": pl.Int64}
    )
    count_traffic(every[: passes // 2], traffic)
    count_traffic(every[passes // 2 :], traffic)
    return Crowd(pairs, Context(rules, knowledge, no_clocks(len(GATES))), traffic)


def look(t: int, gate: str = "B") -> Look:
    return Look(Pass("苏C00009", t, "x", gate, "02", "大众牌"), GATES.index(gate), t, None, None)


@pytest.mark.parametrize(("passes", "doubtful"), [(40, True), (200, True), (201, False), (5_000, False)])
def test_a_crowd_is_one_by_its_share_of_the_traffic(
    known: tuple[Knowledge, Rules], passes: int, doubtful: bool
) -> None:
    crowd = crowd_of(known, [pair(f"苏C0000{n}", NOON) for n in range(4)], passes)
    assert crowd.around(look(NOON), "苏C00009") == doubtful
    assert not crowd.around(look(NOON + 3 * SLOT_S), "苏C00009")
    # Its own contradictions do not speak against a plate.
    assert not crowd.around(look(NOON), "苏C00003")


def test_a_crowd_that_grows_says_where(known: tuple[Knowledge, Rules]) -> None:
    crowd = crowd_of(known, [], 40)
    assert crowd.add(pair(f"苏C0000{n}", NOON) for n in range(3)) == set()
    slot = NOON // SLOT_S
    assert crowd.add([pair("苏C00003", NOON)]) == {(0, slot), (1, slot)}
    assert crowd.plates((1, slot + 1)) == {f"苏C0000{n}" for n in range(4)}
    # A pair whose gate nobody describes any more says nothing.
    assert crowd.add([Pair("苏C00004", "gone", NOON, "B", NOON)]) == set()


def jumping() -> list[Row]:
    """One vehicle a minute, there and back in turns, by true time; at noon the clock of B is set back."""
    rows: list[Row] = []
    for number, begin in enumerate(range(NOON - 2 * 3600, NOON + 3600, 60)):
        rows += drive(f"苏C{number * 1111 % 100_000:05d}", begin, "ABCD" if number % 2 else "DCBA")
    return [
        (id_, gate, plate, t - BACK * (gate == "B" and t >= NOON), make)
        for id_, gate, plate, t, make in sorted(rows, key=lambda row: row[3])
    ]


def test_a_jump_is_believed_within_minutes_and_what_was_said_is_taken_back(
    known: tuple[Knowledge, Rules],
) -> None:
    knowledge, rules = known
    rows = jumping()
    book = Casebook(Memory(), rules, knowledge, Past(), partial(stamp_of, timezone="Asia/Shanghai"))
    told: defaultdict[str, list[tuple[int, Alert]]] = defaultdict(list)
    for number in range(0, len(rows), 2):
        batch = frame(rows[number : number + 2]).with_columns(pl.lit(None, dtype=pl.Int64).alias("arrival"))
        arrived = batch.select(BATCH_SCHEMA.names).to_arrow(compat_level=pl.CompatLevel.oldest())
        newest, found, _, fresh = contradictions_of(book.passes, arrived.cast(BATCH_SCHEMA), rules)
        for alert, _ in book.take(fresh, pl.DataFrame(pl.from_arrow(found)), newest):
            told[alert.hphm].append((number, alert))
    called = {plate: said for plate, said in told.items() if any(a.verdict == CLONED for _, a in said)}
    # Thirty in half an hour contradict themselves at B; a few were believed.
    assert 0 < len(called) <= 4
    for said in called.values():
        assert [alert.status for _, alert in said[:2]] == ["raised", "withdrawn"]
        assert all(alert.verdict != CLONED for _, alert in said[1:])
        # Ten passes later, which is not three minutes.
        assert said[1][0] - said[0][0] <= 20
