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
from kakou.detection.cases import Episode, judge_case
from kakou.detection.clocks import no_clocks
from kakou.detection.contradictions import contradictions_of
from kakou.detection.crowds import SLOT_S, Crowd, Pair, count_traffic
from kakou.detection.doubts import CROWDED
from kakou.detection.horizon import Context, Look, Past
from kakou.detection.horizon import Row as Pass
from kakou.detection.knowledge import Knowledge, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.likelihood import MOST_OF_MAKES, Odd
from kakou.detection.memory import Memory
from kakou.detection.rules import Limits, Rules, RuleSettings
from kakou.detection.state import BATCH_SCHEMA
from kakou.detection.times import stamp_of
from kakou.detection.weighing import USUAL

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


def test_what_is_usual_at_every_gate_is_no_crowd(known: tuple[Knowledge, Rules]) -> None:
    knowledge, rules = known
    everywhere = [
        Pair(f"苏C1{n:03d}{at}", GATES[at], NOON, GATES[at + 1], NOON + 60)
        for n in range(4)
        for at in range(3)
    ]
    every = pl.DataFrame({"kkmc": list(GATES) * 40, "t": [NOON] * 160})
    traffic: dict[tuple[str, int], int] = {}
    count_traffic(every, traffic)
    context = Context(rules, knowledge, no_clocks(len(GATES)))
    assert not Crowd(everywhere, context, traffic).around(look(NOON), "苏C00009")
    assert Crowd([pair(f"苏C0000{n}", NOON) for n in range(4)], context, traffic).around(
        look(NOON), "苏C00009"
    )


def test_a_clock_that_is_wrong_for_long_makes_a_crowd_over_hours(known: tuple[Knowledge, Rules]) -> None:
    spread_out = [pair(f"苏C0000{n}", NOON - n * 2 * 3600) for n in range(4)]
    crowd = crowd_of(known, spread_out, 40)
    assert crowd.around(look(NOON), "苏C00009")
    assert crowd.around(look(NOON - 3 * 3600), "苏C00009")
    assert not crowd.around(look(NOON - 9 * 3600), "苏C00009")  # three of them are too far ahead
    assert not crowd.around(look(NOON + 13 * 3600), "苏C00009")


@pytest.mark.parametrize(("passes", "doubtful"), [(40, True), (200, True), (201, False), (5_000, False)])
def test_a_crowd_is_one_by_its_share_of_the_traffic(
    known: tuple[Knowledge, Rules], passes: int, doubtful: bool
) -> None:
    crowd = crowd_of(known, [pair(f"苏C0000{n}", NOON) for n in range(4)], passes)
    assert crowd.around(look(NOON), "苏C00009") == doubtful
    assert not crowd.around(look(NOON + 25 * SLOT_S), "苏C00009")
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


def test_passes_in_a_crowd_weigh_no_more_together_however_many_days_show_it() -> None:
    one = Odd(look(NOON), 1.0, 0.0, None, 0.0)
    weights = {"passes": 0.0, "track": 0.0, "crowd": 9.0, "make": MOST_OF_MAKES}
    episode = Episode("苏C00009", (look(NOON),), (one,), look(NOON), look(NOON + 60), 1200.0, 60.0, weights)
    once, thrice = (judge_case([episode] * times, USUAL) for times in (1, 3))
    assert thrice.weights == once.weights and once.weights["crowd"] == CROWDED
    assert thrice.probability == once.probability < 0.5


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
