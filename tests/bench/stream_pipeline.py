"""The whole pipeline on a preloaded topic: both queries on, cold and warm apart, and then the proof.

Cold is from the start of the process to the first batch of each query. Warm is from when both have had their
first batch until both have handled every record; the rate of a query is what it handled in that time, and
the pipeline is as fast as the slower one.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from stream_costs import Costs, roles_of
from stream_feed import preload
from stream_job import QUERIES, Batch, Job, Progress, StreamError
from stream_proof import prove
from stream_stack import private_stack, store_pids
from stream_traffic import Plan, Traffic, make_traffic

from kakou.settings import Settings

COLD_S, SETTLE_S = 240.0, 3.0
SLOWEST = 200.0  # records a second, below which it is given up
FEWEST_BATCHES = 6


@dataclass(frozen=True)
class Question:
    """What is run: ``records``, pass times over ``span_minutes`` up to now, and settings beside the
    defaults."""

    records: int
    span_minutes: float
    overrides: dict[str, Any]


def local_now(settings: Settings) -> datetime:
    """Now, in the zone of times without an offset."""
    return datetime.now(ZoneInfo(settings.timezone)).replace(tzinfo=None)


def run_pipeline(work: Path, question: Question) -> dict[str, Any]:
    """Runs it on stores of its own.

    Raises:
        StreamError: the stream ended or hardly moved.
    """
    with private_stack(work, question.records, **question.overrides) as settings:
        settings = _in_several_batches(settings, question.records)
        span = timedelta(minutes=question.span_minutes)
        traffic = make_traffic(Plan(question.records, local_now(settings) - span, span.total_seconds()))
        seconds = preload(settings, traffic)
        print(
            f"  {len(traffic.values):,} records of {traffic.passes['hphm'].n_unique():,} plates preloaded in "
            f"{seconds:.0f} s; batches of at most {settings.max_offsets_per_trigger:,}", flush=True,
        )  # fmt: skip
        time.sleep(SETTLE_S)
        found = _measure(settings, traffic)
        found["preload_seconds"], found["span_minutes"] = seconds, question.span_minutes
        found["batch_records"] = settings.max_offsets_per_trigger
        return found | {"proof": prove(settings, traffic)}


def _in_several_batches(settings: Settings, records: int) -> Settings:
    """A small run takes smaller batches, as the first one is cold and a warm one is wanted."""
    most = min(settings.max_offsets_per_trigger, max(500, records // FEWEST_BATCHES))
    return settings.model_copy(update={"max_offsets_per_trigger": most})


def _measure(settings: Settings, traffic: Traffic) -> dict[str, Any]:
    progress, began = Progress(settings), time.monotonic()
    job = Job(settings)
    costs = Costs(roles_of(store_pids(settings), lambda: job))
    costs.start()
    try:
        cold = _cold(job, progress, began)
        batches = [job.new_batches()]
        warm_from, at_first = time.monotonic(), _reached(progress)
        costs.begin()
        ends = _until_all(job, progress, traffic)
        spent = costs.end()
        batches.append(job.new_batches())
        total = {"ingest": len(traffic.values), "detection": traffic.understood}
        handled = {query: total[query] - at_first[query] for query in QUERIES}
        rates = {query: handled[query] / (ends[query] - warm_from) for query in QUERIES}
        job.stop()
    finally:
        costs.stop()
        job.close()
        progress.close()
    if min(handled.values()) <= 0:
        raise StreamError("All was done in the first batch; preload more records.")
    return {
        "records": len(traffic.values), "cold": cold, "warm_records": handled,
        "warm_seconds": {query: ends[query] - warm_from for query in QUERIES},
        "rates": rates, "rate": min(rates.values()), "others": spent.others,
        "cpu": asdict(spent), "cpu_per_million": spent.per_million(max(handled.values())),
        "batches": {query: _figures(query, batches[1]) for query in QUERIES},
        "first_batches": [asdict(one) for one in batches[0]],
        "peak_mib": {role: round(mib) for role, mib in _peak(costs).items()},
    }  # fmt: skip


def _reached(progress: Progress) -> dict[str, int]:
    return {"ingest": progress.handled(), "detection": progress.detected()}


def _cold(job: Job, progress: Progress, began: float) -> dict[str, float]:
    """Seconds from the start to the first batch of each query."""
    cold: dict[str, float] = {}

    def ready() -> bool:
        for query, count in _reached(progress).items():
            if count:
                cold.setdefault(query, time.monotonic() - began)
        return len(cold) == len(QUERIES)

    job.wait_until("the first batch of both queries", ready, COLD_S)
    return cold


def _until_all(job: Job, progress: Progress, traffic: Traffic) -> dict[str, float]:
    """When each query had handled all."""
    total = {"ingest": len(traffic.values), "detection": traffic.understood}
    ends: dict[str, float] = {}

    def ready() -> bool:
        for query, count in _reached(progress).items():
            if count >= total[query]:
                ends.setdefault(query, time.monotonic())
        return len(ends) == len(QUERIES)

    job.wait_until("all records", ready, COLD_S + len(traffic.values) / SLOWEST)
    return ends


def _figures(query: str, batches: list[Batch]) -> dict[str, float]:
    seconds = sorted(one.seconds for one in batches if one.query == query)
    if not seconds:
        return {"count": 0}
    return {
        "count": len(seconds), "p50": statistics.median(seconds),
        "p90": seconds[int(0.9 * (len(seconds) - 1))], "max": seconds[-1],
    }  # fmt: skip


def _peak(costs: Costs) -> dict[str, float]:
    peak: dict[str, float] = {}
    for _, by_role in costs.memory:
        for role, mib in by_role.items():
            peak[role] = max(mib, peak.get(role, 0.0))
    return peak
