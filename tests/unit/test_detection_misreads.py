"""Which neighbours may explain an odd pass, and what the makes of the past say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import polars as pl
import pytest
from gates_in_a_row import DAY_S, GATES, REGISTRY, WAY_S, Row, drive, frame, honest

from kakou.alert import Alert
from kakou.detection.cases import Episode, judge_case
from kakou.detection.clocks import no_clocks
from kakou.detection.horizon import Context, Look, Passes, Shown
from kakou.detection.horizon import Row as Pass
from kakou.detection.knowledge import Feature, Knowledge, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.likelihood import Odd, makes_before
from kakou.detection.misreads import Confusion, learn_confusion
from kakou.detection.past import PastOfPasses
from kakou.detection.presence import Alive, presence
from kakou.detection.replay import replay
from kakou.detection.rules import Limits, RuleSettings
from kakou.detection.weighing import USUAL

NOON = 5 * DAY_S + 11 * 3600
PLATE, LIKE_IT, OTHER = "苏CQQ775", "苏CQQ77S", "苏CQQ771"
MISREAD = Confusion({("5", "S"): 0.005, ("S", "5"): 0.005}, 1e-4, 0.03, 0.05)


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    """A plate and a neighbour of it drive on each of four days; another one is a misread of the plate."""
    rows = honest(4)
    for day in range(4):
        begin = day * DAY_S + 9 * 3600
        rows += drive(PLATE, begin) + drive(OTHER, begin + 1800, "DCBA", "丰田牌")
    return frame([*rows, ("once", "B", LIKE_IT, 9 * 3600 + WAY_S, "大众牌")])


@pytest.fixture(scope="module")
def knowledge(history: pl.DataFrame) -> Knowledge:
    learned = learn_knowledge(history, list(GATES))
    makes = {"大众": 0.5, "丰田": 0.5}
    return replace(learned, confusion=MISREAD, make=Feature(0.03, makes))


def passes_of(knowledge: Knowledge, history: pl.DataFrame, rows: list[Row]) -> Passes:
    rules, _ = rules_of(REGISTRY, knowledge, RuleSettings(Limits()))
    past = PastOfPasses(history).around([PLATE])
    context = Context(rules, knowledge, no_clocks(len(GATES)), past)
    return Passes([Pass(plate, t, id_, gate, "02", make) for id_, gate, plate, t, make in rows], context)


def shares(passes: Passes) -> dict[str, float]:
    """How likely each neighbour is a vehicle's plate."""
    past = passes.context.past.shown
    alive = Alive(passes, PLATE, past.get(PLATE, Shown()) + passes.shown(PLATE))
    return {
        other: alive.share(other, past.get(other, Shown()) + passes.shown(other))
        for other in passes.neighbours(PLATE)
    }


def alert_of(knowledge: Knowledge, history: pl.DataFrame, rows: list[Row]) -> Alert:
    rules, _ = rules_of(REGISTRY, knowledge, RuleSettings(Limits()))
    day = frame(sorted(rows, key=lambda row: row[3]))
    found = replay(day, rules, knowledge, PastOfPasses(history), "Asia/Shanghai")
    (alert,) = [one for one in found.alerts if one.hphm == PLATE]
    return alert


def test_a_neighbour_that_is_where_the_plate_is_is_a_misread_of_it(
    knowledge: Knowledge, history: pl.DataFrame
) -> None:
    own = drive(PLATE, NOON, "ACD")
    alike = ("m", "B", LIKE_IT, NOON + WAY_S, "大众牌")
    found = shares(passes_of(knowledge, history, [*own, alike, *drive(OTHER, NOON, "AB", "丰田牌")]))
    assert found[LIKE_IT] < 0.05 and found[OTHER] > 0.99
    # Hours away from it, and of another make, the same text is more likely a plate.
    away = ("m", "B", LIKE_IT, NOON + 3 * 3600, "丰田牌")
    assert shares(passes_of(knowledge, history, [*own, away]))[LIKE_IT] > 10 * found[LIKE_IT]


def test_a_misread_of_a_clone_does_not_explain_the_clone(
    knowledge: Knowledge, history: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    owner   A        B        C        D
    clone   D    (read as 77S at C)    B
    """
    owner = drive(PLATE, NOON)
    clone = [row for row in drive(PLATE, NOON + 60, "DCB", tag="x") if row[1] != "C"]
    misread: Row = ("m", "C", LIKE_IT, NOON + 60 + WAY_S, "大众牌")
    rows = [*owner, *clone, misread]
    assert alert_of(knowledge, history, rows).verdict == "cloned_plate"
    monkeypatch.setattr(Alive, "share", lambda *_: 1.0)
    assert alert_of(knowledge, history, rows).verdict == "misread"


def test_what_is_read_twice_is_read_wrongly_beside_its_right_read(
    knowledge: Knowledge, history: pl.DataFrame
) -> None:
    """The neighbour is at B; five seconds later the plate is read there, which is at D then."""
    own = [*drive(PLATE, NOON + WAY_S - 60, "D"), *drive(PLATE, NOON + 2 * WAY_S, "C", tag="y")]
    odd: Row = ("m", "B", PLATE, NOON + WAY_S + 5, "丰田牌")
    beside = [*own, odd, *drive(OTHER, NOON, "ABC", "丰田牌")]
    passes = passes_of(knowledge, history, beside)
    (look,) = [one for one in passes.looks(PLATE) if one.gate == 1]
    assert presence(passes, OTHER, look) == MISREAD.again / 120
    # A minute and a half later it has gone.
    assert presence(passes, OTHER, replace(look, t=look.t + 85)) == 0.0
    assert alert_of(knowledge, history, beside).verdict == "misread"


def test_how_often_a_pass_is_read_rightly_and_wrongly_is_learned() -> None:
    rows: list[Row] = []
    for number in range(2000):
        plate = f"苏C8{number:04d}"
        rows += drive(plate, number * 60, "ABCD")
        if number % 10 == 0:  # read at B as B for the 8, in one of four cases rightly, too
            at = next(n for n in range(len(rows) - 4, len(rows)) if rows[n][1] == "B")
            wrong = ("w" + rows[at][0], "B", f"苏CB{number:04d}", rows[at][3] + 9, rows[at][4])
            rows[at : at + (number % 40 != 0)] = [wrong]
    code = pl.col("kkmc").replace_strict({gate: n for n, gate in enumerate(GATES)}, return_dtype=pl.Int64)
    whole = frame(rows).sort("hphm", "t").with_columns(code.alias("code"))
    gaps = [[abs(a - b) * float(WAY_S) for b in range(4)] for a in range(4)]
    usual, spread = (pl.DataFrame(table).to_numpy() for table in (gaps, [[0.1] * 4] * 4))
    again = learn_confusion(whole, usual, spread).again
    assert 0.08 < again < 0.25  # fifty in some three hundred, and a hundred that are assumed


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ({}, 0.0, 0.0),
        ({"大众": 40}, -0.5, 0.0),
        ({"大众": 40, "丰田": 2}, -0.5, 0.5),  # a camera's mistakes
        ({"大众": 40, "丰田": 25}, 2.5, 3.5),  # no more than that: the plate may have moved to another car
        ({"大众": 2, "丰田": 1}, 0.0, 1.5),
    ],
)
def test_two_makes_in_the_past_speak_for_two_vehicles(
    knowledge: Knowledge, counts: dict[str, int], low: float, high: float
) -> None:
    assert low <= makes_before(knowledge, Shown(Counter(counts), Counter())) <= high


def test_the_past_counts_once_however_many_episodes_there_are() -> None:
    def look(t: int) -> Look:
        return Look(Pass(PLATE, t, "x", "B", "02", "大众牌"), 1, t, None, None)

    odd = Odd(look(NOON), 1.0, 0.0, None, 0.0)
    weights = {"passes": 1.0, "track": 0.0, "before": 3.0}
    episode = Episode(PLATE, (look(NOON),), (odd,), look(NOON), look(NOON + 60), 1200.0, 60.0, weights)
    case = judge_case([episode] * 3, USUAL)
    assert case.weights["before"] == 3.0 and case.weights["passes"] == 3.0
