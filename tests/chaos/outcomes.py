"""What a fault test found, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kakou.settings import PROJECT_ROOT

REPORT = "KAKOU_CHAOS_JSON"


def report_path() -> Path:
    """Where the JSON goes."""
    return Path(os.environ.get(REPORT) or PROJECT_ROOT / "var" / "chaos.json")


@dataclass
class Outcome:
    """One fault.

    Attributes:
        fault: as FAULTS name it, such as ``F6``.
        done: what was done, in words.
        records: how many the topic was given by then.
        lost, doubled: what the ledger says.
        alerts: whether they are the oracle's, once in the table and once in Redis; None where not asked.
        recovery_s: from the end of the fault until the last record was handled; the median of several.
        verdict: ``survived``, or what went wrong.
        began: seconds since 1970, and how long all took.
    """

    fault: str
    done: str
    seed: int
    records: int = 0
    lost: int | None = None
    doubled: int | None = None
    alerts: bool | None = None
    recovery_s: float | None = None
    verdict: str = "not ended"
    began: float = field(default_factory=time.time)
    seconds: float = 0.0


class Outcomes:
    """Those of one run of the tests, in their order."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rows: list[Outcome] = []

    @contextmanager
    def of(self, fault: str, done: str) -> Iterator[Outcome]:
        """A row of the table, whatever becomes of the block."""
        row = Outcome(fault, done, self.seed)
        self.rows.append(row)
        try:
            yield row
            row.verdict = "survived"
        except BaseException as error:
            row.verdict = f"FAILED: {str(error).splitlines()[0] if str(error) else type(error).__name__}"[
                :200
            ]
            raise
        finally:
            row.seconds = round(time.time() - row.began, 1)

    def print(self) -> None:
        """The table."""
        table = Table(title=f"Faults, seed {self.seed}", title_justify="left")
        for name in ("fault", "what was done", "records", "lost", "doubled", "alerts", "recovery", "verdict"):
            table.add_column(name)
        for row in self.rows:
            recovery = "" if row.recovery_s is None else f"{row.recovery_s:.1f} s"
            counts = ["" if one is None else f"{one:,}" for one in (row.records, row.lost, row.doubled)]
            alerts = {None: "", True: "held", False: "WRONG"}[row.alerts]
            table.add_row(row.fault, row.done, *counts, alerts, recovery, row.verdict)
        Console(width=160).print(table)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> Outcomes:
        """Those that several runs have written, in the order of the faults' names."""
        reports = [json.loads(path.read_text("utf-8")) for path in paths]
        told = cls(reports[0]["seed"] if reports else 0)
        rows = [Outcome(**row) for report in reports for row in report["faults"]]
        told.rows = sorted(rows, key=lambda row: (len(row.fault), row.fault, row.began))
        return told

    def write(self, path: Path) -> None:
        """The same as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [asdict(row) for row in self.rows]
        path.write_text(
            json.dumps({"seed": self.seed, "faults": rows}, ensure_ascii=False, indent=1), "utf-8"
        )
