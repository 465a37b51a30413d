"""Edge: log files that nobody rotates, such as those of Airflow's tasks, are removed by age."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path


def delete_old_logs(folder: Path, older_than: timedelta) -> int:
    """Removes files below ``folder`` that were last written longer ago than ``older_than``, and folders left
    empty.

    Returns:
        files removed; 0 where the folder does not exist.
    """
    before = time.time() - older_than.total_seconds()
    gone = 0
    # Deepest first, so that a folder is looked at after what it holds.
    for path in sorted(folder.rglob("*"), key=lambda one: len(one.parts), reverse=True):
        try:
            if path.is_symlink() or path.is_file():
                if path.lstat().st_mtime < before:
                    path.unlink()
                    gone += 1
            elif path.stat().st_mtime < before and not any(path.iterdir()):
                path.rmdir()
        except FileNotFoundError:
            continue  # another run was first
    return gone
