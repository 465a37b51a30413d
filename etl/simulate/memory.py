"""What a simulation remembers over a restart, so that no vehicle jumps because the program was started
again."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from etl.io.pass_log import PassLog, log_files
from etl.simulate.pacing import WINDOW_SECONDS, LastSeen, Pacer
from kakou.fields import TIME_FORMAT
from kakou.whole_files import write_text


def save(path: Path, pacer: Pacer, log: PassLog, row: int) -> None:
    """Saves the plates of the window, the place in the history and how far the log is covered by this."""
    plates = [[plate, last.gate, last.at, last.t, last.times] for plate, last in pacer.plates()]
    state = {"log": log.position, "row": row, "burned": pacer.burned(), "plates": plates}
    write_text(path, json.dumps(state, ensure_ascii=False))


def load(path: Path, pacer: Pacer, log_path: Path, now: float, zone: ZoneInfo) -> int:
    """Puts into ``pacer`` what was saved, and what the log holds beyond that; returns the next row of the
    history.

    After a kill the log is ahead of the saved state. Those lines are read again; as nobody knows which row
    of the history each one was, their plates wait the whole window before they go elsewhere.
    """
    inode, offset, row = -1, 0, 0
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        (inode, offset), row = state["log"], int(state["row"])
        for plate, gate, at, t, times in state["plates"]:
            if now - at < WINDOW_SECONDS:
                pacer.restore(plate, LastSeen(gate, at, t, times))
        for plate, until in state["burned"].items():
            pacer.burn(plate, until)
    except (OSError, ValueError, KeyError, TypeError):
        inode, offset = -1, 0
    files = log_files(log_path)
    inodes = [file.stat().st_ino for file in files]
    first = inodes.index(inode) if inode in inodes else 0
    for n, file in enumerate(files[first:], start=first):
        with file.open("rb") as lines:
            lines.seek(offset if inodes[n] == inode else 0)
            for line in lines:
                _note(line, pacer, now, zone)
    return row


def _note(line: bytes, pacer: Pacer, now: float, zone: ZoneInfo) -> None:
    fields = line.rstrip(b"\n").decode("utf-8", "replace").split("\t")
    if len(fields) != 12:
        return
    try:
        at = datetime.strptime(fields[4], TIME_FORMAT).replace(tzinfo=zone).timestamp()
    except ValueError:
        return
    if now - at < WINDOW_SECONDS:
        # The log holds whole seconds; the pass may have been written at the end of its second.
        pacer.emitted(fields[6], fields[2], at + 1, None)
