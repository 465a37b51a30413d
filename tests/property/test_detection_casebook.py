"""The stream's verdicts against replay's: inside the lateness no order, cut, repetition or restart counts.

The detector is the stream's own, over a folder of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from gates_in_a_row import DAY_S, GATES, MORNING, REGISTRY, Row, busy_day, days_before, drive, frame, honest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_plates import in_batches, reads_with_keys

from kakou.alert import Alert
from kakou.detection.case_alerts import alert_of
from kakou.detection.casebook import Casebook
from kakou.detection.contradictions import contradictions_of
from kakou.detection.evidence.case_tracks import tracks_of
from kakou.detection.evidence.tracks import Tracks
from kakou.detection.horizon import History, Past
from kakou.detection.knowledge import CLOCK_PASSES, Knowledge, learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.memory import Memory
from kakou.detection.past import PastOfPasses, days_of
from kakou.detection.plate_file import PlateFile, write_plates
from kakou.detection.replay import replay
from kakou.detection.rules import Limits, Rules, RuleSettings
from kakou.detection.state import BATCH_SCHEMA
from kakou.detection.times import stamp_of
from kakou.detection.weighing import Weighing
from kakou.settings import Settings
from spark_jobs import casebook_store, current_rules, detector
from spark_jobs.casebook_store import CasebookStore

LIMITS = Limits()
STAMP = partial(stamp_of, timezone="Asia/Shanghai")
Known = tuple[Knowledge, Rules]


@pytest.fixture(scope="module")
def known() -> Known:
    knowledge = learn_knowledge(frame(honest(4)), list(GATES))
    return knowledge, rules_of(REGISTRY, knowledge, RuleSettings(LIMITS))[0]


@contextmanager
def kept(history: pl.DataFrame) -> Iterator[PlateFile]:
    """The file of a history."""
    with TemporaryDirectory() as folder:
        reads = reads_with_keys(history)
        written = write_plates(Path(folder), partial(in_batches, reads, 100), days_of(history).unique())
        yield PlateFile(Path(folder) / written.name)


def deliveries(rows: list[Row], dice: np.random.Generator) -> list[pl.DataFrame]:
    """Out of order and late within the lateness, some twice, in batches of any size."""
    sent = [*rows, *(rows[at] for at in dice.integers(0, len(rows), 20))]
    come = [row[3] + int(dice.integers(0, LIMITS.lateness)) for row in sent]
    order = sorted(range(len(sent)), key=lambda at: (come[at], dice.random()))
    cuts = sorted(dice.integers(0, len(sent), int(dice.integers(1, 60))).tolist())
    arrived = frame([sent[at] for at in order])
    return [arrived[a:b] for a, b in pairwise([0, *cuts, len(sent)])]


class Broken(Exception):
    """Whatever may go wrong in the middle of a batch."""


# Where: while the memory is opened, before and after it has changed, and before and after a version is there.
BREAKS = (
    (Casebook, "_look_at_clocks"),
    (Casebook, "_touched"),
    (Casebook, "_judge"),
    (CasebookStore, "_on_disk"),
    (CasebookStore, "_forget"),
)


class Streamed:
    """The detector over batches: killed, broken and asked again now and again.

    Attributes:
        given: the alerts, by plate.
        shown: their tracks, by id.
        memory: what is left in the end.
    """

    def __init__(
        self, known: Known, batches: list[pl.DataFrame], dice: np.random.Generator, past: History
    ) -> None:
        self.knowledge, self.rules = known
        self.past = past
        self.given: defaultdict[str, list[Alert]] = defaultdict(list)
        self.shown: dict[str, Tracks] = {}
        self._dice = dice
        with (
            TemporaryDirectory() as folder,
            patch.object(detector, "current_rules", self._current_rules),
            # Versions that tell all come often.
            patch.object(casebook_store, "_CHANGES", 4),
            patch.object(casebook_store, "_LARGE", 200),
        ):
            self._folder = Path(folder)
            self._known = current_rules.Known(
                (0,), self.rules, self.knowledge, RuleSettings(LIMITS), past=self.past
            )
            self._detector = self._started()
            for number, rows in enumerate(batches):
                if len(rows):
                    self._take(number, _arrived(rows))
            self.memory = CasebookStore(self._folder).load(len(batches))

    def _current_rules(self, _settings: Settings) -> current_rules.Known:
        if self._dice.random() < 0.03:
            # A file was written again, with what it held before.
            self._known = replace(self._known, version=(self._known.version[0] + 1,))
        return self._known

    def _started(self) -> detector.Detector:
        return detector.Detector(Settings(), self._folder)

    def _take(self, number: int, arrived: pa.Table) -> None:
        if self._dice.random() < 0.05:
            self._detector = self._started()
        if self._dice.random() < 0.1:
            self._break(number, arrived)
        told, counts = self._detector.take(number, arrived)
        assert not counts.late
        if self._dice.random() < 0.1:
            # Kept, and neither written to the table nor known to Spark, twice.
            once, twice = (self._again(number, arrived) for _ in range(2))
            assert once == twice
            told, again = self._detector.take(number, arrived)
            assert again == counts
        for alert, tracks in told:
            self.given[alert.hphm].append(alert)
            self.shown[alert.alert_id] = tracks

    def _break(self, number: int, arrived: pa.Table) -> None:
        place, name = BREAKS[int(self._dice.integers(len(BREAKS)))]
        with patch.object(place, name, side_effect=Broken), suppress(Broken):
            self._detector.take(number, arrived)

    def _again(self, number: int, arrived: pa.Table) -> list[tuple[Alert, Tracks]]:
        if self._dice.random() < 0.5:
            self._detector = self._started()
        told, _ = self._detector.take(number, arrived)
        return [(replace(alert, detected_at=""), tracks) for alert, tracks in told]

    def finish(self) -> dict[str, tuple[str, str]]:
        """Final verdict and tracks of each plate, as JSON."""
        book = Casebook(self.memory, self.rules, self.knowledge, self.past, STAMP)
        for alert, tracks in book.finish():
            self.given[alert.hphm].append(alert)
            self.shown[alert.alert_id] = tracks
        cases = {plate: case for plate in self.memory.records if (case := book.case(plate))}
        return {
            plate: (
                alert_of(case, self.rules, STAMP).to_json(),
                tracks_of(case, self.rules, self.knowledge).to_json(),
            )
            for plate, case in cases.items()
        }


def _arrived(rows: pl.DataFrame) -> pa.Table:
    """As Spark gives them: in an order of its own."""
    columns = rows.with_row_index("offset").with_columns(
        pl.lit(None, dtype=pl.Int64).alias("arrival"),
        pl.lit(0).alias("moment"),
        pl.lit(0).alias("partition"),
    )
    return columns.reverse().to_arrow(compat_level=pl.CompatLevel.oldest())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_delivery_ends_in_the_verdicts_of_replay(known: Known, seed: int) -> None:
    dice = np.random.default_rng(seed)
    rows = busy_day(dice)
    # Sometimes all vehicles tell of the clocks, sometimes every other one.
    known = replace(known[0], daily=float(dice.choice([1, 2])) * CLOCK_PASSES), known[1]
    knowledge, rules = known
    arrived = frame(sorted(rows, key=lambda row: row[3]))
    # Now and then without a history, as before the first night.
    history = frame(days_before(dice)) if dice.random() < 0.8 else frame([])
    past = PastOfPasses(history)
    whole = replay(arrived, rules, knowledge, past, "Asia/Shanghai")
    expected = {one.hphm: (one.to_json(), whole.tracks[one.alert_id].to_json()) for one in whole.alerts}
    assert {one.verdict for one in whole.alerts} >= {"cloned_plate"}
    with kept(history) as file:
        streamed = Streamed(known, deliveries(rows, dice), dice, file)
        assert streamed.finish() == expected
    told = {plate: alerts[-1] for plate, alerts in streamed.given.items()}
    assert {plate: one.verdict for plate, one in told.items() if one.verdict == "cloned_plate"} == {
        one.hphm: one.verdict for one in whole.alerts if one.verdict == "cloned_plate"
    }
    for alerts in streamed.given.values():
        assert [one.step for one in alerts] == list(range(1, len(alerts) + 1))
        assert len({one.alert_id for one in alerts}) == len(alerts)
        for one in alerts:
            tracks = streamed.shown[one.alert_id]
            assert {one.first.gcxh, one.second.gcxh} <= {seen.gcxh for seen in (*tracks.own, *tracks.other)}


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_over_was_told_as_replay_says_and_is_forgotten(known: Known, seed: int) -> None:
    """Two days with a silent one between: the first is final by itself, long before anybody calls an end."""
    dice = np.random.default_rng(seed)
    knowledge, rules = known
    first = busy_day(dice)
    later = [
        (f"{id_}-2", gate, f"{plate[:-1]}Z", t + 2 * DAY_S, make)
        for id_, gate, plate, t, make in busy_day(dice)
    ]
    # The night goes on with a vehicle now and then, so that time passes.
    night = [
        (f"n{at}", "ABCD"[at % 4], f"苏N{at:04d}0", MORNING + 11 * 3600 + at * 600, "大众牌")
        for at in range(150)
    ]
    rows = [*first, *night, *later]
    past = PastOfPasses(frame(days_before(dice)))
    whole = replay(frame(sorted(rows, key=lambda row: row[3])), rules, knowledge, past, "Asia/Shanghai")
    streamed = Streamed(known, deliveries(rows, dice), dice, past)
    plates = {row[2] for row in first}
    expected = {one.hphm: one.verdict for one in whole.alerts if one.hphm in plates}
    assert {
        plate: alerts[-1].verdict for plate, alerts in streamed.given.items() if plate in expected
    } == expected
    # A day after its end nothing of a case is remembered.
    assert not plates & streamed.memory.records.keys()


def test_what_the_past_shows_weighs(known: Known) -> None:
    """Else the tests above would hold nothing of it."""
    knowledge, rules = known
    dice = np.random.default_rng(3)
    arrived = frame(sorted(busy_day(dice), key=lambda row: row[3]))
    pasts = Past(), PastOfPasses(frame(days_before(dice)))
    without, by_it = (
        {one.hphm: one.confidence for one in replay(arrived, rules, knowledge, past, "Asia/Shanghai").alerts}
        for past in pasts
    )
    assert without.keys() == by_it.keys() and without != by_it


def test_another_rule_in_the_middle_of_a_case_speaks_of_the_same_case(known: Known) -> None:
    knowledge, rules = known

    def told(rules: Rules, rows: list[Row]) -> list[Alert]:
        book = Casebook(memory, rules, knowledge, Past(), STAMP)
        arrived = _arrived(frame(rows)).sort_by("offset").select(BATCH_SCHEMA.names).cast(BATCH_SCHEMA)
        newest, found, _, fresh = contradictions_of(book.passes, arrived, rules)
        return [alert for alert, _ in book.take(fresh, pl.DataFrame(pl.from_arrow(found)), newest)]

    memory = Memory()
    twins = drive("苏CQ0777", MORNING, "ABCD", tag="o")
    twins += drive("苏CQ0777", MORNING + 300, "DCB", "丰田牌", tag="t")
    called = told(rules, twins)
    assert [one.verdict for one in called] == ["cloned_plate"]
    strict = replace(rules, weighing=Weighing(version="strict", prior=1e-15))
    (back,) = told(strict, drive("苏CQ0777", MORNING + 7200, "A", tag="l"))
    assert (back.status, back.step, back.rule_version) == ("withdrawn", called[-1].step + 1, "strict")
    assert back.case_id == called[-1].case_id
