"""What ``make bench-stream-peers`` prints: the figures of each contestant, and the bars."""

from __future__ import annotations

from typing import Any

from bench_report import Bar
from peer_contest import CONTESTANTS

STRETCH = 35_000
# Ours in times of each; None where it is only told.
BARS: dict[str, float | None] = {
    "read": 0.3, "state-call": 20.0, "state-call-pandas": 20.0, "flink": 1.5, "quix": 1.0, "plain": None,
}  # fmt: skip
FIRST, WIDTH = 32, 24


def head() -> str:
    """The head of the table of figures."""
    return (
        f"  {'':<{FIRST}}{'version':<{WIDTH}}{'records':>9}{'cold s':>8}{'warm/s':>9}{'CPU s/mio':>11}"
        f"{'cores':>7}{'peak MiB':>10}{'others':>8}  found"
    )


def line_of(name: str, one: dict[str, Any]) -> str:
    """A contestant in the table of figures."""
    label = CONTESTANTS[name].label
    if "broke_off" in one:
        return f"  {label:<{FIRST}}broke off"
    cores = sum(one["cpu"].values()) / one["warm_seconds"]
    return (
        f"  {label:<{FIRST}}{one['version']:<{WIDTH}}{one['records']:>9,}{one['cold_seconds']:>8.1f}"
        f"{one['rate']:>9,.0f}{one['cpu_per_million']:>11.1f}{cores:>7.2f}{one['peak_mib']:>10,.0f}"
        f"{one['others']:>8.2f}  {_found(one)}"
    )


def parts_of(one: dict[str, Any]) -> str:
    """Processor seconds of the warm window by part, the stores' too."""
    parts = {**one["cpu"], **one["stores_cpu"]}
    told = ", ".join(f"{role} {cpu:.1f}" for role, cpu in sorted(parts.items(), key=lambda two: -two[1]))
    return f"{one['warm_records']:,} records in {one['warm_seconds']:.1f} s; CPU s: {told}"


def bars_of(found: dict[str, Any]) -> list[Bar]:
    """The bars of those that took part beside ours; one that broke off misses its bar."""
    contestants = found["contestants"]
    bars = [
        Bar(CONTESTANTS[name].label, "runs to its end", one["broke_off"].splitlines()[0][:60], False)
        for name, one in contestants.items()
        if "broke_off" in one
    ]
    done = {name: one for name, one in contestants.items() if "broke_off" not in one}
    ours = done.get("ours")
    if ours is not None:
        bars += [_ratio(name, ours["rate"] / done[name]["rate"]) for name in BARS if name in done]
        text = f"{ours['rate']:,.0f}/s, stretch of {STRETCH:,} "
        bars.append(
            Bar("ours", "stated", text + ("reached" if ours["rate"] >= STRETCH else "not reached"), True)
        )
    looked = {name: one for name, one in done.items() if CONTESTANTS[name].finds}
    wrong = [CONTESTANTS[name].label for name, one in looked.items() if one["missed"] or one["false"]]
    if looked:
        text = f"not {', '.join(wrong)}" if wrong else f"{len(looked)} of {len(looked)}, ours with verdicts"
        bars.append(Bar("found the same contradictions", "all", text, not wrong))
    return bars


def _ratio(name: str, ratio: float) -> Bar:
    bar = BARS[name]
    what = f"ours / {CONTESTANTS[name].label}"
    if bar is None:
        return Bar(what, "stated", f"{ratio:.2f} x", True)
    return Bar(what, f">= {bar:g} x", f"{ratio:.2f} x", ratio >= bar)


def _found(one: dict[str, Any]) -> str:
    if "found" not in one:
        return "-"
    wrong = f" ({one['missed']} missed, {one['false']} false)" if one["missed"] or one["false"] else ""
    verdicts = ", ".join(f"{count} {name}" for name, count in one.get("verdicts", {}).items())
    return f"{one['found']}{wrong}" + (f"; verdicts: {verdicts}" if verdicts else "")
