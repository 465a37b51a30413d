"""How long after it was produced a row can be queried through the endpoint, at a steady rate.

One record of fifty is followed. A poller asks the endpoint for those that are out, by primary key, some
twenty times a second; a row is there when an answer holds it. So each figure is too large by up to one turn
of the poller, whose length is told beside it. Planted clones tell how soon a warning is in Redis.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from stream_costs import Costs, roles_of
from stream_feed import Feed, preload, write_log
from stream_job import Job, Progress, StreamError
from stream_pipeline import COLD_S, local_now
from stream_proof import prove, wait_for_all
from stream_stack import private_stack, store_pids
from stream_traffic import Plan, Traffic, make_traffic

from kakou.connections import connect
from kakou.settings import Settings

EVERY, POLL_S, PATIENCE_S = 50, 0.05, 60.0
MOST_OUT = 2_000  # asked for at once; more are out only when the stream has fallen far behind
CLONES = 60  # enough that a 99th percentile says something
WARM_SPAN, WARM_LIMIT_S = timedelta(minutes=60), 240.0


def run_latency(work: Path, rate: float, seconds: float, warm_records: int) -> dict[str, Any]:
    """Warms the stream up with a backlog of ``warm_records``, then feeds it at ``rate`` for ``seconds``.

    Raises:
        StreamError: the stream ended, or a row that was produced never came.
    """
    count = int(rate * seconds)
    with private_stack(work, count + warm_records) as settings:
        before = Plan(
            warm_records, local_now(settings) - 2 * WARM_SPAN, WARM_SPAN.total_seconds(), clones=0, seed=2
        )
        backlog = make_traffic(before)
        preload(settings, backlog)
        job, progress = Job(settings), Progress(settings)
        costs = Costs(roles_of(store_pids(settings), lambda: job))
        costs.start()
        try:
            job.wait_until("the backlog", lambda: wait_for_all(progress, backlog), COLD_S + WARM_LIMIT_S)
            job.new_batches()
            traffic = make_traffic(Plan(count, local_now(settings), seconds, CLONES, seed=3))
            found, feed = _followed(settings, job, progress, costs, traffic, rate)
            job.wait_until("the rest", lambda: wait_for_all(progress, backlog, traffic), WARM_LIMIT_S)
            job.stop()
            log = write_log(settings.var / "producer.jsonl", feed, backlog)
            found["proof"] = prove(settings, backlog, traffic, producer_log=log)
        finally:
            costs.stop()
            job.close()
            progress.close()
    return found | {"rate": rate, "seconds": seconds}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and the greatest, by nearest rank; nothing is interpolated.

    >>> percentiles([0.1 * n for n in range(1, 11)])["p90"]
    0.9
    """
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    at = {name: ordered[max(0, -(-round(share * len(ordered) * 100) // 100) - 1)]
          for name, share in ranks.items()}  # fmt: skip
    return {"count": len(ordered), **at, "max": ordered[-1]}


def _followed(
    settings: Settings, job: Job, progress: Progress, costs: Costs, traffic: Traffic, rate: float
) -> tuple[dict[str, Any], Feed]:
    followed, clones = _followed_ids(traffic), _second_passes(traffic)
    feed = Feed(settings, traffic, rate)
    costs.begin()
    feed.start()
    limit = len(traffic.values) / rate + PATIENCE_S
    seen, warned, turns = _poll(settings, job, progress, feed, followed, len(clones), limit)
    feed.finished(PATIENCE_S)
    spent = costs.end()
    batches = job.new_batches()
    seconds = [one.seconds for one in batches if one.query == "ingest"]
    found_in = sum(one.query == "detection" for one in batches)
    late = [warned[pair] - feed.at[number] for pair, number in clones.items() if pair in warned]
    found = {
        "records": len(traffic.values), "followed": len(followed),
        "queryable": percentiles([seen[number] - feed.at[number] for number in followed.values()]),
        "turn": percentiles(turns), "others": spent.others,
        "bench_share": round(spent.bench / spent.wall, 2),
        "ingest_batches": percentiles(seconds) if seconds else {}, "detection_batches": found_in,
        "warnings": percentiles(late) if late else {"count": 0}, "clones": len(clones),
        "cpu_share": {role: round(used / spent.wall, 2) for role, used in spent.cpu.items()},
    }  # fmt: skip
    return found, feed


def _followed_ids(traffic: Traffic) -> dict[str, int]:
    """Id to number of one pass of fifty."""
    rows = traffic.passes.with_row_index("n").filter(kind="pass").gather_every(EVERY)
    return dict(rows.select("gcxh", "n").iter_rows())


def _second_passes(traffic: Traffic) -> dict[tuple[str, str], int]:
    """The two ids of each clone to the number of the later pass: with it the clone could be known."""
    number = dict(traffic.passes.with_row_index("n").filter(kind="clone").select("gcxh", "n").iter_rows())
    return {pair: max(number[one] for one in pair) for pair in traffic.clones}


def _poll(
    settings: Settings,
    job: Job,
    progress: Progress,
    feed: Feed,
    followed: dict[str, int],
    clones: int,
    limit: float,
) -> tuple[dict[int, float], dict[tuple[str, str], float], list[float]]:
    """When each followed record and each warning was first seen, and how long each turn took."""
    seen: dict[int, float] = {}
    warned: dict[tuple[str, str], float] = {}
    turns: list[float] = []
    waiting, last = list(followed), time.monotonic()
    connection = connect(settings, "endpoint", "kakou_reader", autocommit=True)
    give_up = last + limit
    with connection, connection.cursor() as cursor:
        ask = _asker(cursor)
        while len(seen) < len(followed) or (len(warned) < clones and time.monotonic() < give_up):
            time.sleep(POLL_S)
            out = [one for one in waiting[:MOST_OUT] if followed[one] < feed.sent]
            there = ask(out)
            now = time.monotonic()
            seen |= {followed[one]: now for one in there}
            waiting = [one for one in waiting if one not in there] if there else waiting
            for body in progress.warnings() if len(warned) < clones else ():
                alert = json.loads(body)
                warned.setdefault((alert["first"]["gcxh"], alert["second"]["gcxh"]), time.monotonic())
            turns.append(now - last)
            last = now
            if job.process.poll() is not None or (now > give_up and waiting):
                raise StreamError(f"{len(waiting)} rows were never seen: {job.tail()}")
    return seen, warned, turns


def _asker(cursor: Any) -> Callable[[list[str]], set[str]]:
    def ask(ids: list[str]) -> set[str]:
        if not ids:
            return set()
        cursor.execute("SELECT id FROM traffic_data WHERE id IN %s", (ids,))
        return {row[0] for row in cursor.fetchall()}

    return ask


def in_words(found: dict[str, Any]) -> str:
    """What was measured, for the reader."""
    queryable, turn, warnings = found["queryable"], found["turn"], found["warnings"]
    warned = f"warnings p50 {warnings['p50']:.2f} s, p99 {warnings['p99']:.2f} s" if warnings["count"] else ""
    return (
        f"{queryable['count']:,} of {found['records']:,} rows followed at {found['rate']:,.0f}/s: p50 "
        f"{queryable['p50']:.2f} s, p99 {queryable['p99']:.2f} s, max {queryable['max']:.2f} s; "
        f"turn of the poller p50 {turn['p50'] * 1000:.0f} ms, p99 {turn['p99'] * 1000:.0f} ms; producer and "
        f"poller took {found['bench_share']:.2f} core, the endpoint "
        f"{found['cpu_share'].get('endpoint', 0):.2f}, others {found['others']:.2f}; "
        f"{warnings['count']} of {found['clones']} {warned}; "
        f"batches: ingest {found['ingest_batches'].get('count', 0)}, "
        f"detection {found['detection_batches']}; cores: "
        + ", ".join(f"{role} {share:.2f}" for role, share in sorted(found["cpu_share"].items()))
    )
