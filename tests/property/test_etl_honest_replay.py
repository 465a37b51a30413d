"""In a replay no plate is ever at a second gate sooner than its original gap, with restarts in between."""

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.simulate.pacing import WINDOW_SECONDS, LastSeen, Pacer, SourceRow

HISTORY = st.lists(
    st.tuples(st.integers(0, 20_000), st.sampled_from("ABC"), st.sampled_from(["苏C1", "苏C2", "苏C3"])),
    min_size=1,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    history=HISTORY,
    speed=st.sampled_from([1.0, 30.0, 400.0]),
    restarts=st.sets(st.integers(0, 400), max_size=3),
)
def test_gaps_are_never_shorter_than_in_the_history(history, speed, restarts):
    rows = [SourceRow(t, "", gate, "1", "02", plate, "-", "", "") for t, gate, plate in sorted(history)]
    pacer, now, emitted, cursor = Pacer(), 1_000_000.0, [], 0
    for turn in range(400):
        now += speed
        if turn in restarts:
            fresh = Pacer()
            for plate, last in pacer.plates():
                fresh.restore(plate, LastSeen(last.gate, last.at, None))
            pacer = fresh
        row = pacer.due(now)
        for tries in range(2 * len(rows)):
            if row is not None:
                break
            candidate = rows[cursor % len(rows)]
            cursor += 1
            if pacer.decide(candidate, now, patient=tries < len(rows)) == "emit":
                row = candidate
        if row is not None:
            emitted.append((row, now))
            pacer.emitted(row.hphm, row.kkmc, now, row.t)
    assert emitted
    shortest = {}
    for plate in {row.hphm for row in rows}:
        own = [row for row in rows if row.hphm == plate]
        for a in own:
            for b in own:
                if a.kkmc != b.kkmc and b.t > a.t:
                    key = (plate, a.kkmc, b.kkmc)
                    shortest[key] = min(shortest.get(key, WINDOW_SECONDS), b.t - a.t)
    last = {}
    for row, at in emitted:
        before = last.get(row.hphm)
        if before and before[0].kkmc != row.kkmc:
            least = shortest.get((row.hphm, before[0].kkmc, row.kkmc), WINDOW_SECONDS)
            assert at - before[1] >= min(least, WINDOW_SECONDS)
        last[row.hphm] = (row, at)
