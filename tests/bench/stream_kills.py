"""kill -9 of the driver, again and again, while records come; then each record is looked for.

A record counts as sent when the broker has acknowledged it. Afterwards every acknowledged id must lie on the
nodes once and as it was sent, by a count of our own, and the ledger must balance over the producer's log. A
loss of power is not proven by this.
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from stream_feed import Feed, write_log
from stream_job import LOOK_S, Job, Progress, StreamError
from stream_latency import percentiles
from stream_pipeline import COLD_S, local_now
from stream_proof import audit, prove, sent_frame, stored_frame, wait_for_all
from stream_stack import private_stack
from stream_traffic import Plan, make_traffic

from kakou.settings import Settings

SPAN = timedelta(minutes=60)
FIRST_GUESS_S = 20.0  # of one turn, from kill to kill
FASTEST_PER_S, LAST_PER_S = 2_000.0, 4_000.0
SOONEST_S, LATEST_S = 0.1, 5.0
RECOVERY_S, DRAIN_S = 240.0, 600.0


class Pace:
    """The rate at which the records last as long as the kills do: what is left over the time that is left."""

    def __init__(self, kills: int) -> None:
        self.left = kills
        self._turns: list[float] = []

    def killed(self, seconds: float) -> None:
        """One more turn is over, which took so long."""
        self.left -= 1
        self._turns.append(seconds)

    def __call__(self, records_left: int) -> float:
        """Records a second from now on.

        >>> Pace(10)(50_000)
        250.0
        """
        if not self.left:
            return LAST_PER_S
        turn = statistics.mean(self._turns) if self._turns else FIRST_GUESS_S
        return min(FASTEST_PER_S, records_left / (self.left * turn))


def run_kills(work: Path, records: int, kills: int, seed: int = 1) -> dict[str, Any]:
    """Kills the driver ``kills`` times over ``records``, each time at random soon after it has recovered.

    Raises:
        StreamError: it did not recover, or did not handle the rest.
    """
    dice, pace = random.Random(seed), Pace(kills)
    with private_stack(work, records) as settings:
        traffic = make_traffic(Plan(records, local_now(settings) - SPAN, SPAN.total_seconds()))
        feed, progress = Feed(settings, traffic, pace), Progress(settings)
        recoveries: list[float] = []
        began = time.monotonic()
        job = Job(settings)
        try:
            feed.start()
            job.wait_until("the first batch", lambda: progress.committed() > 0, COLD_S)
            while pace.left:
                turn = time.monotonic()
                time.sleep(dice.uniform(SOONEST_S, LATEST_S))
                killed = time.monotonic()
                job.kill()
                gone = time.monotonic()
                job = _started_again(settings, progress)
                recoveries.append(time.monotonic() - killed)
                pace.killed(time.monotonic() - turn)
                print(
                    f"  kill {len(recoveries)}: all its processes gone after {gone - killed:.1f} s, first "
                    f"batch after {recoveries[-1]:.1f} s; {feed.sent:,} sent, {progress.handled():,} handled",
                    flush=True,
                )  # fmt: skip
            feed.finished(DRAIN_S)
            job.wait_until("the rest", lambda: wait_for_all(progress, traffic), DRAIN_S)
            job.stop()
        finally:
            feed.stop()
            job.close()
            progress.close()
        found = audit(sent_frame(traffic, feed.acked), stored_frame(settings))
        log = write_log(settings.var / "producer.jsonl", feed)
        found |= {"unacknowledged": feed.acked.count(None)}
        found["proof"] = prove(settings, traffic, producer_log=log)
    return found | {
        "records": records, "kills": kills, "seconds": time.monotonic() - began,
        "recovery": percentiles(recoveries), "recoveries": recoveries,
    }  # fmt: skip


def _started_again(settings: Settings, progress: Progress) -> Job:
    """As the supervisor does: starts it, and once more whenever it ends, until every node has a new batch.

    Raises:
        StreamError: not within ``RECOVERY_S``.
    """
    before, give_up = progress.committed(), time.monotonic() + RECOVERY_S
    job = Job(settings)
    while progress.committed() <= before:
        if job.process.poll() is not None:
            job = Job(settings)
        if time.monotonic() > give_up:
            tail = job.tail()
            job.close()
            raise StreamError(f"No batch within {RECOVERY_S:.0f} s after a kill: {tail}")
        time.sleep(LOOK_S)
    return job


def in_words(found: dict[str, Any]) -> str:
    """What was measured, for the reader."""
    recovery, proof = found["recovery"], found["proof"]
    balanced = "balanced" if proof["balanced"] else "NOT balanced"
    return (
        f"{found['kills']} kills over {found['records']:,} records in {found['seconds']:.0f} s: lost "
        f"{found['lost']}, doubled {found['doubled']}, never sent {found['unexpected']}, changed "
        f"{found['changed']}; ledger {balanced}, doubled {proof['doubled']}; {proof['clones_warned']} of "
        f"{proof['clones']} clones warned of; recovery p50 {recovery['p50']:.1f} s, p90 "
        f"{recovery['p90']:.1f} s, max {recovery['max']:.1f} s"
    )
