"""The stream, as it dies between the commits of the first and the second node (F3): kill -9 of itself.

Run in place of ``python -m spark_jobs.stream_passages``. It dies in a batch that is not the first, when the
other query has written down a batch too, so that a test can take either commit log away afterwards.
"""

from __future__ import annotations

import os
import signal
import time

from kakou.settings import load_settings
from spark_jobs import stream_passages
from spark_jobs.sinks.nodes import NodesBatch

DIES_IN_BATCH, WAIT_S = 2, 180
_whole = NodesBatch.commit


def _commit_and_die(self: NodesBatch) -> None:
    if self._batch.number < DIES_IN_BATCH:
        _whole(self)
        return
    give_up = time.monotonic() + WAIT_S
    commits = load_settings().checkpoint_dir / "detection" / "commits"
    while not any(commits.glob("[0-9]*")) and time.monotonic() < give_up:
        time.sleep(0.1)
    self._nodes = self._nodes[:1]
    _whole(self)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    NodesBatch.commit = _commit_and_die  # type: ignore[method-assign]
    stream_passages.main()
