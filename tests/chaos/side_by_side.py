"""``make chaos``: every long fault test, in lanes side by side, because most of a fault is waiting.

    python tests/chaos/side_by_side.py [arguments of pytest]

Each lane has stores of its own. At the end comes one table of all, also as JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from outcomes import REPORT, Outcomes, report_path

HERE = Path(__file__).parent
LANES = (
    ("test_faults_of_stores.py", "test_faults_of_the_network.py"),
    ("test_faults_of_the_stream.py", "test_faults_of_the_disk.py"),
)
NOTHING_CHOSEN = 5
TOLD = ("PASSED", "FAILED", "ERROR", "SKIPPED")


def lanes() -> list[list[str]]:
    """Files of each lane; those that no lane names are in one of their own."""
    named = {name for lane in LANES for name in lane}
    others = sorted(path.name for path in HERE.glob("test_*.py") if path.name not in named)
    return [[str(HERE / name) for name in lane] for lane in (*LANES, others)]


def begin(files: list[str], arguments: list[str], report: Path, log: Path) -> threading.Thread:
    """Starts a lane in a process of its own, and a thread that listens to it."""
    command = [sys.executable, "-m", "pytest", "-v", "-m", "chaos", "--timeout=900", *files, *arguments]
    process = subprocess.Popen(
        command,
        env={**os.environ, REPORT: str(report)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lane = threading.Thread(target=follow, args=(process, log))
    lane.start()
    return lane


def follow(process: subprocess.Popen[str], log: Path) -> None:
    """Shows the end of each test; everything else goes into the log."""
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as out:
        for line in process.stdout:
            out.write(line)
            if line.startswith("tests/") and any(word in line for word in TOLD):
                print(line.rstrip().removeprefix("tests/chaos/"), flush=True)
    code = process.wait()
    if code not in (0, NOTHING_CHOSEN):
        _failed.append(log)


_failed: list[Path] = []


def main() -> int:
    """Runs all lanes; 1 if a test failed."""
    folder = report_path().parent / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        reports = [Path(place) / f"{n}.json" for n in range(len(lanes()))]
        running = [
            begin(files, sys.argv[1:], report, folder / f"lane-{n}.log")
            for n, (files, report) in enumerate(zip(lanes(), reports, strict=True), start=1)
        ]
        for lane in running:
            lane.join()
        told = Outcomes.read(one for one in reports if one.exists())
    told.print()
    told.write(report_path())
    print(f"As JSON: {report_path()}")
    for log in _failed:
        print(f"Failed, see {log}", file=sys.stderr)
    return 1 if _failed else 0


if __name__ == "__main__":
    sys.exit(main())
