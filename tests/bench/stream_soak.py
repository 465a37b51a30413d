"""Half an hour at a steady rate: is memory flat, and is the time of a batch?

Memory is what a process has for itself. The resident part of the files that it maps is shown beside it.

The detector keeps every pass of its window, so a state that still fills up would look like a leak. Pass times
therefore run so much faster than the clock that the window is full when half of the run is over; what grows
in the second half then grows for another reason. Flat means: a straight line through the second half rises
from one end of it to the other by at most ``MEMORY_BOUND`` of its mean for the memory of all, ``PART_BOUND``
for that of one part, ``BATCH_BOUND`` for the time of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from stream_costs import Costs, roles_of
from stream_feed import Feed, write_log
from stream_job import QUERIES, Batch, Job, Progress
from stream_pipeline import COLD_S, local_now
from stream_proof import prove, wait_for_all
from stream_stack import private_stack, store_pids
from stream_traffic import Plan, make_traffic

MEMORY_BOUND, PART_BOUND, BATCH_BOUND = 0.05, 0.15, 0.15
NOT_SHOWN = 99.0  # no line can be drawn, and then nothing is known to be flat
MINUTE_S, LOOK_EVERY_S, DRAIN_S = 60.0, 5.0, 300.0
# Below this a part is too small for its share of growth to say anything.
LEAST_MIB = 32.0


def run_soak(work: Path, minutes: float, rate: float) -> dict[str, Any]:
    """Runs it on stores of its own.

    Raises:
        StreamError: the stream ended.
    """
    count = int(minutes * 60 * rate)
    with private_stack(work, count) as settings:
        kept = timedelta(minutes=settings.detection_window_minutes + settings.lateness_minutes)
        span = max(2 * kept, timedelta(minutes=minutes))
        traffic = make_traffic(Plan(count, local_now(settings) - span, span.total_seconds()))
        feed, progress = Feed(settings, traffic, rate), Progress(settings)
        job = Job(settings)
        costs = Costs(roles_of(store_pids(settings), lambda: job))
        try:
            job.wait_until("its start", lambda: bool(job.family()[1:]), COLD_S)
            costs.start()
            costs.begin()
            feed.start()
            rows = _watch(job, progress, costs, feed)
            job.wait_until("the rest", lambda: wait_for_all(progress, traffic), DRAIN_S)
            spent = costs.end()
            job.stop()
        finally:
            feed.stop()
            costs.stop()
            job.close()
            progress.close()
        return {
            "minutes": minutes, "rate": rate, "records": count, "rows": rows, "others": spent.others,
            "times_faster": span.total_seconds() / (minutes * 60), "growth": growth_of(rows),
            "cpu_per_million": spent.per_million(count),
            "proof": prove(settings, traffic, producer_log=write_log(settings.var / "producer.jsonl", feed)),
        }  # fmt: skip


def rise(values: Sequence[float]) -> float:
    """How far a straight line through the second half of ``values`` rises, as a share of its mean; with
    fewer than two values ``NOT_SHOWN``.

    >>> rise([9, 9, 9, 9, 10, 11, 12, 13]), rise([5, 1, 4, 4, 4])
    (0.261, 0.0)
    """
    half = np.asarray(values[len(values) // 2 :], dtype=float)
    if len(half) < 2 or not half.mean():
        return NOT_SHOWN
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0])
    return round(slope * (len(half) - 1) / float(half.mean()), 3) + 0.0


def growth_of(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The rise of each part's memory, of the memory of all, and of the batch time of each query."""
    parts = sorted({role for row in rows for role in row["mib"]})
    last = rows[-1]["mib"]
    growth = {
        role: rise([row["mib"].get(role, 0.0) for row in rows])
        for role in parts
        if last.get(role, 0.0) >= LEAST_MIB
    }
    growth["memory of all"] = rise([sum(row["mib"].values()) for row in rows])
    for query in QUERIES:
        growth[f"batch of {query}"] = rise([row[query] for row in rows if row[query]])
    return growth


def bound_of(what: str) -> float:
    """How much a line of ``growth_of`` may rise."""
    if what.startswith("batch of"):
        return BATCH_BOUND
    return MEMORY_BOUND if what == "memory of all" else PART_BOUND


def _watch(job: Job, progress: Progress, costs: Costs, feed: Feed) -> list[dict[str, Any]]:
    """One row for each minute while the feed runs: memory, batch times, lag."""
    rows: list[dict[str, Any]] = []
    batches: list[Batch] = []
    began = minute = time.monotonic()

    def turn() -> bool:
        nonlocal minute, batches
        batches += job.new_batches()
        now = time.monotonic()
        if now - minute >= MINUTE_S or not feed.is_alive():
            rows.append(_row(now - began, minute, batches, progress, costs, feed))
            print("  " + row_in_words(rows[-1]), flush=True)
            minute, batches = now, []
        time.sleep(LOOK_EVERY_S if feed.is_alive() else 0)
        return not feed.is_alive()

    job.wait_until("the end of the feed", turn, len(feed.at))
    feed.finished(0)
    return rows


def _row(
    at: float, since: float, batches: list[Batch], progress: Progress, costs: Costs, feed: Feed
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "minute": round(at / 60, 2), "mib": _mean(costs.memory, since), "mapped": _mean(costs.mapped, since),
        "lag": feed.sent - progress.handled(),
    }  # fmt: skip
    # What cannot be read never gets to the detector.
    row["detection_lag"] = feed.traffic.understood_of(feed.sent) - progress.detected()
    for query in QUERIES:
        seconds = [one.seconds for one in batches if one.query == query]
        row[query] = sum(seconds) / len(seconds) if seconds else 0.0
    return row


def _mean(samples: Sequence[tuple[float, dict[str, float]]], since: float) -> dict[str, float]:
    new = [mib for moment, mib in samples if moment >= since]
    roles = {role for sample in new for role in sample}
    return {role: sum(one.get(role, 0.0) for one in new) / max(1, len(new)) for role in sorted(roles)}


def row_in_words(row: dict[str, Any]) -> str:
    """One line of the table."""
    memory = ", ".join(f"{role} {mib:,.0f}" for role, mib in row["mib"].items())
    return (
        f"minute {row['minute']:.0f}: ingest {row['ingest']:.2f} s, detection {row['detection']:.2f} s a "
        f"batch; behind {row['lag']:,} and {row['detection_lag']:,}; MiB: {memory}"
    )


def table(found: dict[str, Any]) -> str:
    """The minutes as a Markdown table, and the rises below."""
    roles = sorted({role for row in found["rows"] for role in row["mib"]})
    head = [
        "minute",
        "ingest, s",
        "detection, s",
        "lag",
        "detection lag",
        "mapped files, MiB",
        *(f"{role}, MiB" for role in roles),
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in found["rows"]:
        cells = [f"{row['minute']:.0f}", f"{row['ingest']:.2f}", f"{row['detection']:.2f}",
                 f"{row['lag']:,}", f"{row['detection_lag']:,}", f"{sum(row['mapped'].values()):,.0f}",
                 *(f"{row['mib'].get(role, 0):,.0f}" for role in roles)]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    rises = ", ".join(f"{what} {share:+.1%}" for what, share in found["growth"].items())
    return "\n".join([*lines, "", f"rise over the second half: {rises}"])
