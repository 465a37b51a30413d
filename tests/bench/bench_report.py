"""What the benchmark prints: figures of each run, cost of each step, and the bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench_measure import Measured

GIB = 1024.0
MERGE_BAR, ALL_BAR, XLSX_BAR, MEMORY_BAR_GIB, FLAT_BAR = 1.3, 4.0, 8.0, 4.0, 1.15
LEAST_ROWS_FOR_FLAT = 4_000_000  # fewer rows do not fill the memory that the engine may use
LEAST_ROWS_OF_A_SHEET = 50_000  # with fewer, the first use of a library is all that is measured
PLATE_TYPE_ACCURACY, PLATE_TYPE_COVERAGE, BRAND_TIMES_MAJORITY = 0.97, 0.90, 2.0


@dataclass(frozen=True)
class Bar:
    """One promise: its bar and what was measured, in words, and whether it is kept."""

    what: str
    bar: str
    measured: str
    met: bool


def bars_of(found: dict[str, Any]) -> list[Bar]:
    """The bars of the parts that were run."""
    bars: list[Bar] = []
    if "script" in found:
        bars += _times(found)
    if "memory" in found:
        bars += _memory(found["memory"])
    if "xlsx" in found and found["xlsx"]["rows"] >= LEAST_ROWS_OF_A_SHEET:
        ratio, written = found["xlsx"]["ratio"], found["xlsx"]["openpyxl"] / found["xlsx"]["ours_written"]
        bars.append(
            Bar(
                "XLSX against openpyxl read-only",
                f">= {XLSX_BAR:g} x",
                f"{ratio:.1f} x ({written:.1f} x typed and written)",
                ratio >= XLSX_BAR,
            )
        )
    if "resume" in found:
        wrong = {step: what for step, what in found["resume"].items() if what != "identical"}
        text = "identical" if not wrong else f"not after {', '.join(wrong)}"
        bars.append(
            Bar(f"killed in each of {len(found['resume'])} steps, resumed", "identical", text, not wrong)
        )
    if "imputed" in found:
        bars += _imputed(found["imputed"])
    return bars


def _times(found: dict[str, Any]) -> list[Bar]:
    script, merge, ours = found["script"], found["merge"], found["ours"]
    bars = []
    for what, one, bar in (("merge / script", merge, MERGE_BAR), ("all five / script", ours, ALL_BAR)):
        wall, cpu = one["wall"] / script["wall"], one["cpu"] / script["cpu"]
        bars.append(Bar(what, f"<= {bar:g} x", f"{wall:.2f} x (CPU {cpu:.2f} x)", wall <= bar))
    same = found["identical"] and found["repeat"] > 1
    text = ("yes" if found["identical"] else "no") + f" ({found['repeat']} runs)"
    bars.append(Bar("rerun byte-identical", "yes", text, same))
    return bars


def _memory(memory: dict[str, Any]) -> list[Bar]:
    bars = []
    for one in memory.values():
        gib = one["peak_mib"] / GIB
        text = f"{gib:.2f} GiB (largest process {one['one_mib'] / GIB:.2f})"
        bars.append(Bar(f"memory at {one['rows'] / 1e6:.1f} m rows", f"<= {MEMORY_BAR_GIB:g} GiB", text,
                        gib <= MEMORY_BAR_GIB))  # fmt: skip
    if memory["single"]["rows"] < LEAST_ROWS_FOR_FLAT:
        return bars
    growth = memory["double"]["peak_mib"] / memory["single"]["peak_mib"]
    bars.append(
        Bar("memory, twice the rows", f"flat: <= {FLAT_BAR:g} x", f"{growth:.2f} x", growth <= FLAT_BAR)
    )
    return bars


def _imputed(imputed: dict[str, Any]) -> list[Bar]:
    kind, brand = imputed["HPZL"], imputed["CLPPXH"]
    right, covered = kind["accuracy"] or 0.0, kind["coverage"] or 0.0
    bars = [
        Bar("HPZL right where filled", f">= {PLATE_TYPE_ACCURACY:.0%}",
            f"{right:.1%} (majority guess {kind['baseline'] or 0:.1%})", right >= PLATE_TYPE_ACCURACY),
        Bar("HPZL coverage", f">= {PLATE_TYPE_COVERAGE:.0%}", f"{covered:.1%}",
            covered >= PLATE_TYPE_COVERAGE),
    ]  # fmt: skip
    times = (brand["accuracy"] or 0.0) / (brand["baseline"] or 1.0)
    text = f"{times:.1f} x ({brand['accuracy'] or 0:.1%}, coverage {brand['coverage'] or 0:.1%})"
    bars.append(
        Bar("CLPPXH / majority guess", f">= {BRAND_TIMES_MAJORITY:g} x", text, times >= BRAND_TIMES_MAJORITY)
    )
    return bars


def say_figures(number: int, script: Measured, ours: Measured, after_merge: str) -> None:
    """One line for each contestant of one repetition."""
    wall, cpu = ours.until(after_merge)
    print(
        f"\nrun {number}  {'wall s':>10}{'CPU s':>10}{'peak MiB':>10}{'others':>8}   (cores that others took)"
    )
    print(f"script {_figures(script)}")
    print(f"ours   {_figures(ours)}")
    print(
        f" merge {wall:>10.2f}{cpu:>10.2f}   {wall / script.wall:.2f} x script, CPU {cpu / script.cpu:.2f} x"
    )
    print(f" all {'':>22}{ours.wall / script.wall:.2f} x script, CPU {ours.cpu / script.cpu:.2f} x",
          flush=True)  # fmt: skip


def _figures(one: Measured) -> str:
    return f"{one.wall:>11.2f}{one.cpu:>10.2f}{one.peak_mib:>10,.0f}{one.others:>8.2f}"


def say_steps(runs: Sequence[Measured]) -> None:
    """What each step cost, in the mean of the runs."""
    print(f"\n{'step':<14}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}")
    for name in runs[0].steps:
        steps = [one.steps[name] for one in runs]
        wall, cpu = (sum(getattr(step, key) for step in steps) / len(steps) for key in ("wall", "cpu"))
        print(f"{name:<14}{wall:>9.2f}{cpu:>9.2f}{max(step.peak_mib for step in steps):>10,.0f}", flush=True)


def say_bars(bars: Sequence[Bar]) -> None:
    """The table at the end."""
    width = max((len(bar.measured) for bar in bars), default=10)
    first = max((len(bar.what) for bar in bars), default=10)
    print(f"{'':<{first + 2}}{'bar':<18}{'measured':<{width + 2}}met")
    for bar in bars:
        print(f"{bar.what:<{first + 2}}{bar.bar:<18}{bar.measured:<{width + 2}}{'yes' if bar.met else 'NO'}")
