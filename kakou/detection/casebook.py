"""From contradictions, as they come, to one verdict for each plate, and to its final one.

A pass is remembered for as long as a contradiction may still ask about it, under its plate; a plate with
contradictions has a record, which keeps what belongs to its open episodes. An episode is final when nothing
that it is judged by can change any more: no pass of it can still be on time, no contradiction can join it,
and the clocks of its hours are estimated from all their passes. Until then its plate is judged again whenever
it is seen, and some minutes later, when its neighbours may have shown where they are.

::

    last contradiction      + APART_S + lateness         clocks of its hours final
    ─────┼───────────────────────────┼───────────────────────────┼──────
     judged as passes come      nothing can join             judged once more: final

What is final does not depend on the order in which passes came, on how they were cut into batches, or on a
pass coming twice, as long as none is later than the lateness: it equals what ``detect replay`` says.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import replace
from typing import Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from kakou.alert import CLONED, Alert, alert_id
from kakou.detection.case_alerts import alert_of, possible_after_all
from kakou.detection.cases import CASE_S, Case, Episode, chained, judge_case, judge_episode
from kakou.detection.clocks import BLOCK_S, MARGIN_S, STEP_S, Clocks, clocks_of_block, joined, with_codes
from kakou.detection.crowds import SLOT_S, Crowd, Pair, count_traffic, pairs_of
from kakou.detection.episodes import (
    APART_S,
    CONTEXT_S,
    PRESENCE_S,
    RowsOf,
    rows_around,
    rows_from,
)
from kakou.detection.evidence.case_tracks import one_track, thinned, tracks_of
from kakou.detection.evidence.tracks import Tracks
from kakou.detection.horizon import Context, History, Passes, Row
from kakou.detection.knowledge import Knowledge, in_sample
from kakou.detection.memory import Memory, Record
from kakou.detection.misreads import neighbours
from kakou.detection.rules import Rules
from kakou.detection.state import State, plate_keys

# A plate is judged again so long after it was touched: by then its neighbours have shown where they are.
_AGAIN_S: Final = (300, 900, 3600)
# Where a crowd shows, its gate's clock is looked at again as soon as that.
_SOON_S: Final = 60


class Told(NamedTuple):
    """An alert, and the passes that it was given on."""

    alert: Alert
    tracks: Tracks


class Casebook:
    """Judges plates as their passes come.

    Args:
        memory: what is remembered; changed by each call.
        rules: those that find the contradictions.
        knowledge: what a history taught.
        past: asked for what it says of single plates.
        stamp: makes the contract's time stamp of seconds of local time.
    """

    def __init__(
        self,
        memory: Memory,
        rules: Rules,
        knowledge: Knowledge,
        past: History,
        stamp: Callable[[int], str],
    ) -> None:
        self._memory = memory
        self._rules = rules
        self._knowledge = knowledge
        self._past = past
        self._stamp = stamp
        self._late = rules.limits.lateness
        self._pairs: defaultdict[int, set[Pair]] = defaultdict(set)
        self._due: list[tuple[int, str]] = []
        self._queued: set[tuple[int, str]] = set()
        for record in memory.records.values():
            self._expect(record)
        if rules.gates and memory.gates != rules.gates:
            for block, clocks in list(memory.blocks.items()):
                memory.blocks[block] = with_codes(clocks, memory.gates, rules.gates, knowledge.constant)
            memory.gates = rules.gates
        self._look_at_clocks()

    @property
    def passes(self) -> State:
        """What a batch may contradict: all passes that are remembered."""
        return replace(self._memory.passes, newest=self._memory.newest)

    def take(self, fresh: pa.Table, found: pl.DataFrame, newest: int) -> list[Told]:
        """Takes what ``contradictions_of`` found in one batch.

        Args:
            fresh: passes on time under whole plates that were not known before, ``state.STATE_SCHEMA``.
            found: contradictions, ``contradictions.CONTRADICTION_SCHEMA``.
            newest: newest time that was seen.

        Returns:
            alerts of the plates whose verdict is new or has changed.
        """
        memory = self._memory
        # A batch may leap over hours; what it makes due still needs what the time before it remembered.
        known, memory.newest = memory.newest, max(memory.newest, newest)
        kept = max(CONTEXT_S + PRESENCE_S + self._late, self._rules.limits.retention)
        sampled_for = BLOCK_S + 2 * MARGIN_S + self._late
        memory.passes = memory.passes.grown(fresh, memory.newest, known - kept)
        sampled = fresh.filter(pa.array(in_sample(fresh["key"].to_numpy(), self._knowledge)))
        memory.sample = memory.sample.grown(sampled, memory.newest, known - sampled_for)
        count_traffic(pl.DataFrame(pl.from_arrow(fresh.select(["kkmc", "t"]))), memory.traffic)
        new = pairs_of(found)
        touched = self._touched(fresh, new)
        crowded = self._crowd.add(new)
        soon = bool(crowded) and memory.newest >= self._looked_at + _SOON_S
        if self._looked != self._now or soon:
            self._look_at_clocks()
        # What was said of them before the crowd was one may have to be taken back.
        touched |= {plate for place in crowded for plate in self._crowd.plates(place) if self._called(plate)}
        while self._due and self._due[0][0] <= memory.newest:
            due = heapq.heappop(self._due)
            self._queued.discard(due)
            touched.add(due[1])
        if not self._rules.gates:
            return []  # nobody knows a way; what is due is asked for again when it is seen
        told = self._judge(touched)
        self._forget()
        return told

    def finish(self) -> list[Told]:
        """Judges every open plate by what is known; for a file that has ended."""
        self._look_at_clocks()
        return self._judge({plate for plate, record in self._memory.records.items() if record.pairs})

    def case(self, plate: str) -> Case | None:
        """The case of a plate as it stands."""
        record = self._memory.records.get(plate)
        judged = self._open_episodes(record, self._knowing([record])) if record else {}
        chain = self._chain_of(record, judged) if record else []
        return judge_case(chain, self._rules.weighing) if chain else None

    def _called(self, plate: str) -> bool:
        """Whether the newest case of a plate is said to be of a clone."""
        record = self._memory.records.get(plate)
        return record is not None and record.last is not None and record.last.verdict == CLONED

    def _touched(self, fresh: pa.Table, found: list[Pair]) -> set[str]:
        """Takes contradictions into their records; plates that have some, or that have and were seen."""
        records = self._memory.records
        new: defaultdict[str, set[Pair]] = defaultdict(set)
        for pair in found:
            new[pair.plate].add(pair)
        for plate, pairs in new.items():
            record = records.get(plate, Record(plate))
            records[plate] = replace(record, pairs=record.pairs | pairs)
            self._expect(records[plate])
        return set(new) | {plate for plate in _among(fresh, records) if records[plate].pairs}

    def _expect(self, record: Record) -> None:
        """Counts the contradictions of a record, and notes when its plate is to be judged again."""
        for pair in record.pairs | record.counted:
            self._pairs[pair.t_b // STEP_S].add(pair)
        times = [time for episode in record.episodes for time in self._times_of(*episode)]
        times += [self._forgotten_at(one.last) for one in record.over]
        for time in times:
            due = time, record.plate
            if time > self._memory.newest and due not in self._queued:
                self._queued.add(due)
                heapq.heappush(self._due, due)

    def _times_of(self, first: int, last: int) -> list[int]:
        return [
            *(at + again for at in {first, last} for again in _AGAIN_S),
            # All neighbours have passed by now, and none is forgotten.
            last + CONTEXT_S + PRESENCE_S + self._late,
            self._gathered_at(last),
            self._final_at(last),
            self._forgotten_at(last),
        ]

    def _gathered_at(self, last: int) -> int:
        """Newest time from which on nothing joins an episode."""
        return last + APART_S + self._late

    def _final_at(self, last: int) -> int:
        """Newest time from which on its clocks are final, too."""
        block = (last + CONTEXT_S + PRESENCE_S) // BLOCK_S
        return max(self._gathered_at(last), self._block_final_at(block))

    def _forgotten_at(self, last: int) -> int:
        """Newest time from which on no episode can join its case."""
        return self._final_at(last) + CASE_S

    def _block_final_at(self, block: int) -> int:
        return (block + 1) * BLOCK_S + MARGIN_S + self._late

    def _judge(self, plates: set[str]) -> list[Told]:
        records = self._memory.records
        mine = {plate: records[plate] for plate in sorted(plates) if plate in records}
        around, context = self._around(mine), self._knowing(mine.values())
        told = []
        for plate, record in mine.items():
            gathered = self._gather(record, around)
            final = [one for one in gathered.episodes if self._final_at(one[1]) <= self._memory.newest]
            judged = self._open_episodes(gathered, context)
            chain = self._chain_of(gathered, judged)
            if record.over and chain and not any(one in record.over for one in chain):
                # Too long ago: another case begins.
                gathered = replace(gathered, over=(), step=0, last=None)
            after = self._closed(gathered, final, judged)
            alert = self._alert_of(chain, gathered.last)
            if alert is not None:
                alert = _next_step(alert, gathered)
                told.append(Told(alert, self._tracks_of(chain, gathered)))
                after = replace(after, step=alert.step, last=alert)
            held = [one for one in after.over if self._forgotten_at(one.last) > self._memory.newest]
            if not after.pairs and not held:
                del records[plate]
            elif after != record:
                records[plate] = after
                self._expect(after)
        return told

    def _around(self, records: dict[str, Record]) -> RowsOf:
        """Passes of some plates and their neighbours."""
        texts = {one for plate, r in records.items() if r.pairs for one in (plate, *neighbours(plate))}
        if not texts:
            return rows_from([])
        table = self._memory.passes.under(plate_keys(pl.Series(sorted(texts))))
        return rows_from(Row(*row) for row in _frame(table).iter_rows())

    def _knowing(self, records: Iterable[Record]) -> Context:
        """What the open episodes of some plates are looked at with: what their past shows, too."""
        return replace(self._context, past=self._past.around(one.plate for one in records if one.pairs))

    def _gather(self, record: Record, around: RowsOf) -> Record:
        """The record with what is remembered of its open episodes now."""
        rows = set(record.rows)
        for episode in record.episodes:
            rows.update(rows_around(record.plate, episode, around))
        return replace(record, rows=frozenset(rows))

    def _open_episodes(self, record: Record, context: Context) -> dict[tuple[int, int], Episode | None]:
        held = rows_from(record.rows)
        return {
            episode: judge_episode(
                Passes(rows_around(record.plate, episode, held), context), record.plate, self._crowd
            )
            for episode in record.episodes
        }

    def _chain_of(self, record: Record, judged: dict[tuple[int, int], Episode | None]) -> list[Episode]:
        """The episodes of the newest case."""
        episodes = [*record.over, *(one for one in judged.values() if one is not None)]
        return chained(episodes)[-1] if episodes else []

    def _alert_of(self, chain: list[Episode], last: Alert | None) -> Alert | None:
        """What is to be said of a case, if it is not what was said last."""
        if chain:
            alert = alert_of(judge_case(chain, self._rules.weighing), self._rules, self._stamp)
            alert = replace(alert, model_version=self._knowledge.version or None)
            told = last and (last.verdict, last.severity)
            return None if (alert.verdict, alert.severity) == told else alert
        if last is not None and last.verdict == CLONED:
            return possible_after_all(last, self._rules.weighing, self._stamp(self._memory.newest))
        return None

    def _tracks_of(self, chain: list[Episode], record: Record) -> Tracks:
        if chain:
            return tracks_of(judge_case(chain, self._rules.weighing), self._rules, self._knowledge)
        passes = Passes(record.rows, self._context)
        return one_track(passes.looks(record.plate) if record.plate in passes.rows else [], self._rules)

    def _closed(
        self,
        record: Record,
        final: list[tuple[int, int]],
        judged: dict[tuple[int, int], Episode | None],
    ) -> Record:
        """The record with its final episodes put to the others that are over."""
        if not final:
            return record
        # Their passes are of use for the page of evidence alone.
        ended = tuple(thinned(one) for at in final if (one := judged[at]) is not None)
        pairs = frozenset(
            pair for pair in record.pairs if not any(low <= pair.t_b <= high for low, high in final)
        )
        counted = {
            pair
            for pair in record.counted | (record.pairs - pairs)
            if pair.t_b > self._memory.newest - CASE_S
        }
        left = replace(record, pairs=pairs, counted=frozenset(counted))
        far = CONTEXT_S + PRESENCE_S
        rows = frozenset(
            row for row in record.rows if any(low - far <= row.t <= high + far for low, high in left.episodes)
        )
        return replace(left, rows=rows, over=(*record.over, *ended))

    @property
    def _now(self) -> tuple[int, int]:
        """Changes whenever the clocks are to be looked at again: every step, and when a block is final."""
        newest = self._memory.newest
        return newest // STEP_S, (newest - MARGIN_S - self._late) // BLOCK_S

    def _forget(self) -> None:
        """Drops what no open episode can ask about; after the judging, as a batch may leap over days."""
        memory = self._memory
        oldest = memory.newest - CASE_S
        for block in [one for one in memory.blocks if (one + 1) * BLOCK_S < oldest - CASE_S]:
            del memory.blocks[block]
        for step in [one for one in self._pairs if one * STEP_S < oldest]:
            del self._pairs[step]
        for place in [one for one in memory.traffic if (one[1] + 2) * SLOT_S < oldest]:
            del memory.traffic[place]

    def _open_clocks(self) -> dict[int, Clocks]:
        """Clocks of the blocks that are not final yet, from what is known of them."""
        memory, knowledge = self._memory, self._knowledge
        if not memory.sample.pieces:
            return {}
        code = pl.col("kkmc").replace_strict(self._rules.code, default=-1, return_dtype=pl.Int64)
        frame = _frame(pa.concat_tables([piece.passes for piece in memory.sample.pieces]))
        whole = frame.with_columns(code.alias("code")).filter(pl.col("code") >= 0).sort("hphm", "t", "gcxh")
        spread = knowledge.usual * knowledge.spread
        return {
            block: clocks_of_block(whole, block, knowledge.usual, spread, knowledge.trips, knowledge.constant)
            for block in (whole["t"] // BLOCK_S).unique().sort().to_list()
            if block not in memory.blocks
        }

    def _look_at_clocks(self) -> None:
        memory, knowledge = self._memory, self._knowledge
        self._looked, self._looked_at = self._now, memory.newest
        # Where no gate is known, as a file of them is broken, clocks wait for the next rules.
        clocks = self._open_clocks() if self._rules.gates else {}
        for block, one in clocks.items():
            if self._block_final_at(block) <= memory.newest:
                memory.blocks[block] = one
        final = memory.blocks if self._rules.gates else {}
        every = joined({**final, **clocks}, knowledge.constant)
        self._context = Context(self._rules, knowledge, every)
        known = (pair for pairs in self._pairs.values() for pair in pairs)
        self._crowd = Crowd(known, self._context, memory.traffic)


def _next_step(alert: Alert, before: Record) -> Alert:
    """The alert as the next one of its case; one that is no longer of a clone takes the one before back."""
    step = before.step + 1
    # A batch that is done again after a crash may judge otherwise, and then it says something else.
    said = f"{alert.rule_version}#{step}#{alert.verdict}#{alert.severity}"
    version = alert.rule_version if step == 1 else said
    name = alert_id(alert.hphm, alert.first.gcxh, alert.second.gcxh, version)
    gone = before.last is not None and before.last.verdict == CLONED != alert.verdict
    # A case keeps its name, though the rule may have changed since.
    case = before.last.case_id if before.last else alert.case_id
    return replace(alert, alert_id=name, case_id=case, step=step, status="withdrawn" if gone else "raised")


def _among(fresh: pa.Table, records: MutableMapping[str, Record]) -> set[str]:
    """Plates of the passes that have a record; the work is that of the fewer."""
    if len(fresh) <= len(records):
        return set(fresh["hphm"].to_pylist()) & records.keys()
    plates = pa.array(list(records), pa.string())
    return set(fresh["hphm"].filter(pc.is_in(fresh["hphm"], plates)).to_pylist())


def _frame(table: pa.Table) -> pl.DataFrame:
    """Passes as text."""
    frame = pl.DataFrame(pl.from_arrow(table))
    return frame.select("hphm", "t", "gcxh", pl.col("kkmc", "hpzl", "clppxh").cast(pl.String))
