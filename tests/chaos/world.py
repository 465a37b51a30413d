"""One topic, one stream and everything that was sent to it: what a fault test acts on, and what proves it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from alert_oracle import contradictions, demand_alerts, stored_passes
from feeding import Feed
from logged_producer import settle
from outcomes import Outcome
from planted import Wave, bulk, plant, write_gates
from stream_process import STREAM, WAIT_S, Job, behind

from etl.ship.topic import open_producer
from kakou import redis_keys
from kakou.connections import connect, node_names, redis_client
from kakou.detection.warning_tables import TOLD
from kakou.passage import Passage, parse_passage
from kakou.settings import Settings
from kakou.stack.topics import ensure_topics
from kakou.topology import load_topology
from spark_jobs.ledger.check import read_ledger
from spark_jobs.ledger.evidence import Ledger
from spark_jobs.producer_log import parse_attempts
from spark_jobs.rejected.records import rejected_records
from spark_jobs.sinks.sorting import ID_CONFLICT
from sql.gates import load_gates

TABLES = ("traffic_data", "flow_hourly", "duplicate_records", "rejected_records", "batch_ledger")
SPAN = timedelta(minutes=5)
HEALTHY_POLLS, HEALTHY_S, LOOK_S = 5, 60, 0.5


class World:
    """Everything of one name on a stack: topics, checkpoint, stream, producer log. Makes the tables empty.

    Args:
        stack: settings of running stores.
        folder: for logs.
        name: of the topic, and of the ids that are sent.
        seed: of all that is drawn.
        overrides: settings that differ.
    """

    def __init__(self, stack: Settings, folder: Path, name: str, seed: int, **overrides: object) -> None:
        topics = {"topic": f"chaos-{name}", "rejected_topic": f"chaos-{name}-rejected"}
        self.settings = stack.model_copy(update=topics | overrides)
        self.stream_settings: Settings | None = None  # where they differ from ours
        self.folder, self.name, self.seed = folder, name, seed
        self.producer_log = folder / f"{name}-producer.jsonl"
        self.stream_log = folder / f"{name}-stream.log"
        self.job: Job | None = None
        self.logged = True  # whether the ledger is held against the producer log too
        self.records = 0
        self.clones: set[tuple[str, str]] = set()
        self._waves = 0
        self._feeds: list[Feed] = []
        _empty(self.settings)

    def start(self, command: tuple[str, ...] = STREAM) -> Job:
        """Starts the stream, unless it runs."""
        if self.job is None or not self.job.runs:
            self.job = Job(self.stream_settings or self.settings, self.stream_log, command)
        return self.job

    def plant(self, count: int) -> Wave:
        """The next records, all about now, with all that may be planted among them."""
        self._waves += 1
        wave = plant(f"{self.name}{self._waves}", count, self.seed, self._now(), SPAN)
        self.records += len(wave)
        self.clones |= wave.clones
        return wave

    def load(self, count: int) -> None:
        """Sends so many honest passes about now, as fast as it goes and without a log."""
        wave = bulk(f"{self.name}{self.records}", count, self._now(), SPAN)
        producer = open_producer(self.settings)
        told = [
            producer.send(self.settings.topic, key=key, value=value)
            for key, value in zip(wave.keys, wave.values, strict=True)
        ]
        producer.flush()
        producer.close()
        assert all(one.succeeded() for one in told)
        self.records += count
        self.logged = False

    def _now(self) -> datetime:
        return datetime.now(ZoneInfo(self.settings.timezone)).replace(tzinfo=None)

    def feed(self, wave: Wave, rate: float | None = None, **how: Any) -> Feed:
        """Begins to send a wave, when the one before is sent; ``how`` goes to ``Feed``."""
        self._all_sent()  # two producers would write one log
        feed = Feed(self.settings, wave, self.producer_log, rate, **how)
        self._feeds.append(feed)
        feed.start()
        return feed

    def _all_sent(self) -> None:
        while self._feeds:
            self._feeds.pop().finished()

    def send(self, count: int) -> None:
        """Sends the next records and waits until the broker has them."""
        self.feed(self.plant(count)).finished()

    @property
    def unsure(self) -> int:
        """Attempts that were not acknowledged."""
        with self.producer_log.open(encoding="utf-8") as lines:
            return sum(attempt.status != "ok" for attempt in parse_attempts(lines))

    def behind(self, ends: dict[int, int] | None = None) -> int | None:
        """Records that are not finished; None while the broker does not say."""
        try:
            return behind(self.settings, ends)
        except Exception:  # away, or it has just come back
            return None

    def at_rest(self) -> bool:
        """Whether nothing is left, and every alert that screens are told of is in the list."""
        return self.behind() == 0 and self._listed() == self._warned()

    def _listed(self) -> int:
        client = redis_client(self.settings)
        with client:
            return int(client.llen(redis_keys.WARNINGS))  # type: ignore[arg-type]

    def _warned(self) -> int:
        connection = connect(self.settings, "dn1", "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM warnings WHERE {TOLD}")
            return int(cursor.fetchone()[0])

    def wait(self, what: str, ready: Callable[[], bool], seconds: float = WAIT_S) -> None:
        """Waits while the stream runs, if it is ours."""
        give_up = time.monotonic() + seconds
        while not ready():
            assert self.job is None or self.job.runs, f"the stream ended: {self.tail()}"
            assert time.monotonic() < give_up, f"{what}: not within {seconds} s: {self.tail()}"
            time.sleep(LOOK_S)

    def tail(self) -> str:
        """The last words of the stream."""
        return self.stream_log.read_text("utf-8", "replace")[-3000:] if self.stream_log.exists() else ""

    def recover(self, fault_ended: float, seconds: float = WAIT_S) -> float:
        """Waits until nothing is left, then for five healthy polls in a row within a minute (L8).

        Args:
            fault_ended: on the monotonic clock.

        Returns:
            seconds from then until nothing was left.
        """
        self._all_sent()
        self.wait("the rest", self.at_rest, seconds)
        recovered = time.monotonic() - fault_ended
        healthy, give_up = 0, time.monotonic() + HEALTHY_S
        while healthy < HEALTHY_POLLS:
            assert time.monotonic() < give_up, f"not healthy five times in a row: {self.tail()}"
            runs = self.job is None or self.job.runs
            healthy = healthy + 1 if runs and self.at_rest() else 0
            time.sleep(LOOK_S)
        return recovered

    def ledger(self, row: Outcome) -> Ledger:
        """Laws 1 to 6; fills what the table shows of them."""
        settle(self.producer_log)
        ledger = read_ledger(self.settings, producer_log=self.producer_log if self.logged else None)
        row.records, row.lost, row.doubled = self.records, ledger.lost, ledger.doubled
        return ledger

    def prove(self, row: Outcome) -> None:
        """Laws 1 to 7, and that nothing was refused that a store, and no record, was to blame for."""
        ledger = self.ledger(row)
        assert ledger.balanced, [law for law in ledger.laws if not law.held]
        for _, reason, raw in rejected_records(self.settings):
            read = parse_passage(raw or b"")
            assert reason == (ID_CONFLICT if isinstance(read, Passage) else read.reason)
        row.alerts = False
        found = contradictions(self.settings, stored_passes(self.settings))
        # A clone of which a half was never acknowledged may be missing.
        assert found <= self.clones if self.logged and self.unsure else found == self.clones
        demand_alerts(self.settings, found)
        row.alerts = True

    def close(self) -> None:
        """Ends the stream, however the test ended."""
        if self.job is not None and self.job.runs:
            self.job.kill()


def _empty(settings: Settings) -> None:
    ensure_topics(settings)
    single = load_topology(settings.topology_dir).single["warnings"]
    for node in node_names(settings):
        connection = connect(settings, node, "root", autocommit=True)
        with connection, connection.cursor() as cursor:
            for table in (*TABLES, "warnings", "warning_tracks") if node == single else TABLES:
                cursor.execute(f"DELETE FROM {table}")
    client = redis_client(settings)
    client.flushall()
    client.close()
    shutil.rmtree(settings.checkpoint_dir, ignore_errors=True)
    dimension = settings.clean_dir / "kkmc_dimension.csv"
    write_gates(dimension)
    load_gates(settings, dimension)
