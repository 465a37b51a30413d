"""What the benchmark of the stream prints: the figures of each part, and its bars."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import stream_kills
import stream_latency
import stream_proof
import stream_soak
from bench_report import Bar
from stream_jdbc import AS_IT_COMES

PIPELINE_BAR, PIPELINE_STRETCH, ENDPOINT_BAR = 8_000, 12_000, 2_000
LOAD_BAR, JDBC_BAR, QUERYABLE_BAR_S = 0.5, 8.0, 2.5
WARNED_BARS_S = {"p50": 1.2, "p99": 3.0}
WARNED_BAR = ", ".join(f"{name} <= {most:g} s" for name, most in WARNED_BARS_S.items())
BEHIND_S, LAGS = 5.0, ("lag", "detection_lag")


def bars_of(found: dict[str, Any]) -> list[Bar]:
    """The bars of the parts that were run; a part that broke off misses its bar with its reason."""
    bars: list[Bar] = []
    for part, make in MAKERS.items():
        if part not in found:
            continue
        if "broke_off" in found[part]:
            bars.append(Bar(part, "runs to its end", found[part]["broke_off"].splitlines()[0][:60], False))
        else:
            bars += make(found[part])
    return bars


def say(part: str, found: dict[str, Any]) -> None:
    """The figures of a part."""
    print("broke off: " + found["broke_off"] if "broke_off" in found else SAYERS[part](found), flush=True)


def run_in_words(found: dict[str, Any]) -> str:
    """Cold and warm times, rates, batches, processor seconds and the proof of one run of the pipeline."""
    cold = ", ".join(f"{query} {seconds:.1f} s" for query, seconds in found["cold"].items())
    lines = [f"  cold, start to first batch: {cold}"]
    for query, rate in found["rates"].items():
        batches, seconds = found["batches"][query], found["warm_seconds"][query]
        times = (
            f"{batches['count']} batches, p50 {batches['p50']:.2f} s, p90 {batches['p90']:.2f} s, "
            f"max {batches['max']:.2f} s"
            if batches["count"]
            else "no batch logged"
        )
        lines.append(
            f"  warm, {query}: {found['warm_records'][query]:,} records in {seconds:.1f} s = {rate:,.0f}/s; "
            + times
        )
    lines += [cost_table(found), "  " + stream_proof.in_words(found["proof"])]
    return "\n".join(lines)


def cost_table(found: dict[str, Any]) -> str:
    """Processor seconds of the warm window by part, with its greatest memory."""
    cpu, per_million = found["cpu"]["cpu"], found["cpu_per_million"]
    lines = [f"  {'warm window':<16}{'CPU s':>9}{'per million':>13}{'cores':>8}{'peak MiB':>10}"]
    for role in sorted(cpu, key=lambda one: -cpu[one]):
        cores, peak = cpu[role] / found["cpu"]["wall"], found["peak_mib"].get(role, 0)
        lines.append(f"  {role:<16}{cpu[role]:>9.1f}{per_million[role]:>13.1f}{cores:>8.2f}{peak:>10,}")
    total = sum(cpu.values())
    lines.append(
        f"  {'all':<16}{total:>9.1f}{sum(per_million.values()):>13.1f}{total / found['cpu']['wall']:>8.2f}"
        f"{sum(found['peak_mib'].values()):>10,}   others took {found['others']:.2f} core, "
        f"the benchmark {found['cpu']['bench'] / found['cpu']['wall']:.2f}"
    )
    return "\n".join(lines)


def writer_in_words(found: dict[str, Any]) -> str:
    """The contestants of the direct writer."""
    rates, jdbc = found["rates"], found["jdbc"]
    lines = [
        f"  {found['rows']:,} rows, {found['repeat']} runs each, medians; rows/s, client and node CPU s:"
    ]
    for name, label in (("ours", "direct writer"), ("in batches", "LOAD DATA, a file for each batch"),
                        ("at once", "LOAD DATA, one file for each node")):  # fmt: skip
        client, nodes = (
            statistics.median(one[key] for one in found["runs"][name]) for key in ("client_cpu", "nodes_cpu")
        )
        lines.append(f"  {label:<44}{rates[name]:>10,.0f}{client:>8.1f}{nodes:>8.1f}")
    for name, one in jdbc.items():
        text = f"({one['rows']:,.0f} rows, ours {found['to_jdbc'][name]:.1f} x)"
        lines.append(f"  {f'Spark JDBC {name}':<44}{one['rate']:>10,.0f}   {text}")
    return "\n".join([*lines, f"  others took {found['others']:.2f} core"])


def _pipeline(found: dict[str, Any]) -> list[Bar]:
    rate, cost = found["rate"], sum(found["cpu_per_million"].values())
    stretch = "" if rate < PIPELINE_STRETCH else f", stretch of {PIPELINE_STRETCH:,} reached"
    text = f"{rate:,.0f}/s ({cost:.0f} CPU s/million, others {found['others']:.1f}{stretch})"
    return [
        Bar("whole pipeline, warm", f">= {PIPELINE_BAR:,}/s", text, rate >= PIPELINE_BAR),
        _proven("pipeline: ledger, fates, warnings", found["proof"]),
    ]  # fmt: skip


def _writer(found: dict[str, Any]) -> list[Bar]:
    load, jdbc = found["to_load"], found["to_jdbc"][AS_IT_COMES]
    return [
        Bar("direct writer / LOAD DATA LOCAL", f">= {LOAD_BAR:g} x", f"{load:.2f} x", load >= LOAD_BAR),
        Bar("direct writer / Spark's JDBC", f">= {JDBC_BAR:g} x", f"{jdbc:.1f} x", jdbc >= JDBC_BAR),
    ]


def _endpoint(found: dict[str, Any]) -> list[Bar]:
    rate = found["rates"]["ingest"]
    return [
        Bar("endpoint route, warm", f">= {ENDPOINT_BAR:,}/s", f"{rate:,.0f}/s", rate >= ENDPOINT_BAR),
        _proven("endpoint: ledger, fates, warnings", found["proof"]),
    ]


def _latency(found: dict[str, Any]) -> list[Bar]:
    p99 = found["queryable"]["p99"]
    text = f"p99 {p99:.2f} s, p50 {found['queryable']['p50']:.2f} s"
    warned = found["warnings"]
    told = ", ".join(f"{name} {warned[name]:.2f} s" for name in WARNED_BARS_S) if warned["count"] else "none"
    within = warned["count"] == found["clones"]
    within = within and all(warned[name] <= most for name, most in WARNED_BARS_S.items())
    return [
        Bar(f"queryable at {found['rate']:,.0f}/s", f"p99 <= {QUERYABLE_BAR_S} s", text,
            p99 <= QUERYABLE_BAR_S),
        Bar(f"{found['clones']} warnings in Redis", WARNED_BAR, told, within),
        _proven("latency: ledger, fates, warnings", found["proof"]),
    ]  # fmt: skip


def _kills(found: dict[str, Any]) -> list[Bar]:
    wrong = {name: found[name] for name in ("lost", "doubled", "unexpected", "changed") if found[name]}
    text = ", ".join(f"{name} {count}" for name, count in wrong.items()) or "all 0"
    recovery = found["recovery"]
    stated = f"p50 {recovery['p50']:.1f} s, p90 {recovery['p90']:.1f} s"
    return [
        Bar(f"{found['kills']} kills: lost, doubled, changed", "0", text, not wrong),
        _proven("kills: ledger, fates, warnings", found["proof"]),
        Bar("kills: recovery", "stated", stated, True),
    ]


def _soak(found: dict[str, Any]) -> list[Bar]:
    bars = []
    for what, rise in found["growth"].items():
        bound = stream_soak.bound_of(what)
        bars.append(Bar(f"soak: {what}", f"flat: <= {bound:+.0%}", f"{rise:+.1%}", rise <= bound))
    behind, most = max(found["rows"][-1][name] for name in LAGS), found["rate"] * BEHIND_S
    text = f"{behind:,} records, {behind / found['rate']:.1f} s"
    bars.append(Bar("soak: behind at its end", f"<= {BEHIND_S:g} s", text, behind <= most))
    return [*bars, _proven("soak: ledger, fates, warnings", found["proof"])]


def _proven(what: str, proof: dict[str, Any]) -> Bar:
    text = "as planted" if proof["proven"] else stream_proof.in_words(proof)
    return Bar(what, "as planted", text, proof["proven"])


MAKERS: dict[str, Callable[[dict[str, Any]], list[Bar]]] = {
    "pipeline": _pipeline, "writer": _writer, "endpoint": _endpoint, "latency": _latency, "kills": _kills,
    "soak": _soak,
}  # fmt: skip
SAYERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "pipeline": run_in_words, "writer": writer_in_words, "endpoint": run_in_words,
    "latency": lambda found: "  " + stream_latency.in_words(found),
    "kills": lambda found: "  " + stream_kills.in_words(found),
    "soak": stream_soak.table,
}  # fmt: skip
