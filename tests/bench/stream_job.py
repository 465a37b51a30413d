"""The stream as a process, seen from outside: its log lines, the ledger of the nodes, the counts in Redis."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from stream_stack import stream_log

from kakou import redis_keys
from kakou.connections import connect, node_names, redis_client
from kakou.settings import Settings
from kakou.stack.environment import child_environment

LOOK_S = 0.2
STOP_S, DEATH_S = 90.0, 30.0
QUERIES = ("ingest", "detection")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_JAVA_STACK = re.compile(r"\s*(at [\w.$]+[(/]|\.\.\. \d+ more|$)")
_PAIR = re.compile(r"(\w+)=(\S+)")


class StreamError(RuntimeError):
    """The stream ended, or did not do in time what was waited for; the message ends with its last words."""


@dataclass(frozen=True)
class Batch:
    """One line of the log that tells of a finished micro-batch."""

    query: str
    number: int
    seconds: float


def batch_of(line: str) -> Batch | None:
    """Reads a log line, ``key=value`` or JSON; None if it tells of no batch.

    >>> batch_of("2026-11-24 22:03:11 [info     ] batch      batch=3 query=ingest seconds=0.61 stored=7")
    Batch(query='ingest', number=3, seconds=0.61)
    """
    text = _COLOUR.sub("", line).strip()
    try:
        fields = json.loads(text) if text.startswith("{") else dict(_PAIR.findall(text))
        batch = Batch(str(fields["query"]), int(fields["batch"]), float(fields["seconds"]))
    except (ValueError, KeyError, TypeError):
        return None
    return batch if batch.query in QUERIES else None


class Job:
    """The stream in a process of its own; each start appends to the same log."""

    def __init__(self, settings: Settings) -> None:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        self._log = stream_log(settings)
        self._read = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "spark_jobs.stream_passages"],
                env=child_environment(settings), stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def family(self) -> list[psutil.Process]:
        """The driver and all that it started; the driver is the first."""
        try:
            head = psutil.Process(self.process.pid)
            return [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Looks until ``ready`` says so.

        Raises:
            StreamError: the stream ended, or the time is over.
        """
        give_up = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise StreamError(f"The stream ended with {self.process.returncode}: {self.tail()}")
            if time.monotonic() > give_up:
                raise StreamError(f"{what}: not within {seconds:.0f} s: {self.tail()}")
            time.sleep(LOOK_S)

    def new_batches(self) -> list[Batch]:
        """Batches that were logged since the last call."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        return [one for one in map(batch_of, lines) if one is not None]

    def stop(self) -> None:
        """Asks it to end.

        Raises:
            StreamError: it does not, or not well.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise StreamError(f"The stream did not stop within {STOP_S:.0f} s: {self.tail()}") from None
        if code:
            raise StreamError(f"The stream stopped with {code}: {self.tail()}")

    def kill(self) -> None:
        """kill -9 of the driver; returns when its JVM and workers have seen that and ended too."""
        family = self.family()
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(family[1:], timeout=DEATH_S)
        for one in alive:
            one.kill()
        if alive:
            raise StreamError(f"{len(alive)} processes outlived the driver by {DEATH_S:.0f} s.")

    def close(self) -> None:
        """Ends what still runs, however the measurement ended."""
        if self.process.poll() is None:
            self.kill()

    def tail(self) -> str:
        """The last words of the log that are no stack of Java's."""
        lines = _COLOUR.sub("", self._log.read_text("utf-8", "replace")).splitlines()
        return " / ".join(line.strip()[:300] for line in lines if not _JAVA_STACK.match(line))[-1500:]


class Progress:
    """How far each query is; keeps its connections, so that a look costs a millisecond."""

    def __init__(self, settings: Settings) -> None:
        self._nodes = [
            connect(settings, node, "kakou_reader", autocommit=True) for node in node_names(settings)
        ]
        self._redis = redis_client(settings)

    def handled(self) -> int:
        """Records that the ledgers of the nodes know."""
        return sum(self._asked("COALESCE(SUM(stored + duplicates + rejected), 0)"))

    def committed(self) -> int:
        """Batches that every node has committed."""
        return min(self._asked("COUNT(*)"))

    def detected(self) -> int:
        """Passes that the detector has taken."""
        return int(self._redis.hget(redis_keys.DETECTION_COUNTS, "passes") or 0)  # type: ignore[arg-type]

    def warnings(self) -> list[str]:
        """The bodies in the list of warnings, newest first."""
        return list(self._redis.lrange(redis_keys.WARNINGS, 0, -1))  # type: ignore[arg-type]

    def close(self) -> None:
        """Closes the connections."""
        for connection in self._nodes:
            connection.close()
        self._redis.close()

    def _asked(self, what: str) -> list[int]:
        answers = []
        for connection in self._nodes:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {what} FROM batch_ledger WHERE query LIKE 'ingest%'")
                answers.append(int(cursor.fetchone()[0]))
        return answers
