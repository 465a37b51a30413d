"""Edge: moves gates to added nodes while readers go on, and can be killed and run again at any moment.

    copy     the stream is stopped; what moves is written to the new nodes and compared by checksum
    switch   old nodes get views without what moved, the new topology is published, the endpoint swapped
    delete   the stream runs again; old nodes forget what the new ones hold
    finish   the endpoint links to whole tables again, the views go

Up to the publishing in ``switch`` nothing has changed for anybody, and a second run begins anew; it copies
only what differs. From there on the new topology holds whatever happens, and a second run goes on. Through
8066 every row counts once at every moment: before ``switch`` the new nodes are not linked, and afterwards the
views hide what moved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pymysql
from rich.console import Console

from kakou.connections import connect
from kakou.errors import BadInputError, ServiceError, StorageError
from kakou.process_lock import only_one
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.catalogue import services
from kakou.stack.supervision import STOPPED, Supervisor
from kakou.topology import Topology, load_topology
from kakou.topology_versions import coming_dir, forget_coming, publish, stage
from sql import endpoint, staying
from sql.archive import hold_archive
from sql.migrate import migrate
from sql.reshard_copy import copy_moves, delete_moved
from sql.reshard_journal import Journal, end_journal, read_journal, write_journal
from sql.reshard_known import progress, teach, teach_batches
from sql.reshard_plan import Plan, make_plan, rows_on_nodes

STREAM: Final = "stream"
_STOP_GRACE_S: Final = 15
# Called as the work goes on: the phase, rows done, rows in all.
Tell = Callable[[str, int, int], None]


@dataclass(slots=True)
class Moved:
    """What a run did; a run that went on where a killed one ended tells its own part.

    Attributes:
        copied, deleted: rows written to the new nodes, and deleted on the old ones, roll-ups included.
        reader_wait_s: for how long readers at the endpoint waited at most; no row was missing meanwhile.
        stream_paused_s: between the stop of the stream and its start; None where it did not run.
        mycat: whether a real MyCat answers at 8066, which has to be given the new files.
    """

    nodes: tuple[str, ...]
    gates: int = 0
    copied: int = 0
    deleted: int = 0
    reader_wait_s: float = 0.0
    stream_paused_s: float | None = None
    mycat: bool = False
    seconds: dict[str, float] = field(default_factory=dict)


def move(settings: Settings, count: int, tell: Tell = lambda _phase, _done, _all: None) -> Moved:
    """Brings the stack to ``count`` nodes, or ends a re-shard that was killed.

    Raises:
        BadInputError: another re-shard is under way, or was begun for another number of nodes.
        TopologyError: nodes cannot be added.
        StorageError: a node or the endpoint is away, or rows lie where they do not belong.
        ServiceError: the stream does not stop, or a new node does not start.
    """
    with only_one(settings.run_dir / "reshard.lock", "kakou shard move"):
        journal = read_journal(settings)
        _demand(settings, journal, count)
        if journal is None and len(load_topology(settings.topology_dir).nodes) == count:
            return Moved(load_topology(settings.topology_dir).ring.nodes)
        try:
            with hold_archive(settings) as demand_hold:
                return _Run(settings, count, tell, demand_hold).run(journal)
        except pymysql.MySQLError as error:
            raise StorageError(
                f"The re-shard stopped: {error.args[-1]}. No row is lost; see `kakou status`, then run "
                "`kakou shard move` again, it goes on."
            ) from error


def abandon(settings: Settings) -> None:
    """Gives up a re-shard that has not been published; the new nodes are stopped and their data stay.

    Raises:
        BadInputError: there is none, or it is published and can only go on.
    """
    with only_one(settings.run_dir / "reshard.lock", "kakou shard move"):
        journal = read_journal(settings)
        if journal is None:
            raise BadInputError("No re-shard is under way.")
        if load_topology(settings.topology_dir).ring.nodes == journal.new_nodes:
            raise BadInputError(
                f"The topology of {len(journal.new_nodes)} nodes is published already. "
                f"Run `kakou shard move --nodes {len(journal.new_nodes)}` to end the re-shard."
            )
        for node in journal.added:
            Supervisor(settings).stop(node)
        forget_coming(settings)
        end_journal(settings)


def _demand(settings: Settings, journal: Journal | None, count: int) -> None:
    nodes = load_topology(settings.topology_dir).ring.nodes
    if journal is not None and len(journal.new_nodes) != count:
        raise BadInputError(
            f"A re-shard to {len(journal.new_nodes)} nodes has not ended. "
            f"Run `kakou shard move --nodes {len(journal.new_nodes)}` first."
        )
    if len(nodes) > count:
        raise BadInputError(
            f"The stack has {len(nodes)} nodes. Nodes can only be added: name a larger number."
        )


class _Run:
    """One run of ``move``; it holds the locks."""

    def __init__(self, settings: Settings, count: int, tell: Tell, demand_hold: Callable[[], None]) -> None:
        self._settings = settings
        self._count = count
        self._tell = tell
        self._demand_hold = demand_hold
        self._supervisor = Supervisor(settings)
        self._moved = Moved(())
        self._paused = 0.0

    def run(self, journal: Journal | None) -> Moved:
        """All phases that are left."""
        topology = load_topology(self._settings.topology_dir)
        try:
            if len(topology.nodes) < self._count:
                journal = self._bring_over(topology, journal)
            else:
                endpoint.apply(self._settings)  # a killed run may have published and come no further
        finally:
            self._start_stream(journal or read_journal(self._settings))
        assert journal is not None
        topology = load_topology(self._settings.topology_dir)
        self._moved.nodes, self._moved.gates = topology.ring.nodes, len(journal.moved)
        with self._phase("delete"):
            self._moved.deleted = delete_moved(self._settings, topology, journal, self._tell)
        with self._phase("finish"):
            self._finish(topology, journal)
        return self._moved

    def _bring_over(self, topology: Topology, journal: Journal | None) -> Journal:
        """Everything up to the moment from which the new topology holds."""
        stage(self._settings, self._count)
        after = load_topology(coming_dir(self._settings))
        stream = self._stream_runs() or (journal is not None and journal.stream)
        journal = Journal(topology.ring.nodes, after.ring.nodes, {}, stream)
        write_journal(self._settings, journal)
        with self._phase("stop"):
            self._stop_stream()
        with self._phase("start"):
            self._start_nodes(journal.added)
        with self._phase("copy"):
            before = progress(self._settings, journal.old_nodes)
            plan = make_plan(topology.ring, after.ring, rows_on_nodes(self._settings, topology))
            _demand_movable(plan)
            moved = {one.gate: one.old for one in plan.moves}
            journal = Journal(journal.old_nodes, journal.new_nodes, moved, stream)
            self._moved.copied = copy_moves(self._settings, after, plan, self._tell)
            teach(self._settings, after, journal.old_nodes, journal.added)
            teach_batches(self._settings, journal.old_nodes, journal.added)
            write_journal(self._settings, journal)
        with self._phase("switch"), endpoint.rebuilding(self._settings) as cursor:
            self._demand_hold()
            if progress(self._settings, journal.old_nodes) != before:
                raise StorageError(
                    "Somebody wrote while the rows were copied. Stop every stream of this stack "
                    "(`kakou status` shows ours), then run `kakou shard move` again."
                )
            self._switch(cursor, after, journal)
        return journal

    def _switch(self, cursor: Any, after: Topology, journal: Journal) -> None:
        if cursor is not None:
            for node in journal.old_nodes:
                staying.create(self._settings, after, node, journal.moved_from(node))
        self._tell("publish", 0, 1)
        publish(self._settings)
        self._tell("swap", 0, 1)
        if cursor is not None:
            self._moved.reader_wait_s = endpoint.build(self._settings, cursor)

    def _finish(self, topology: Topology, journal: Journal) -> None:
        # Gates that were loaded by somebody who still knew the old topology.
        teach(self._settings, topology, journal.old_nodes, journal.added)
        plan = make_plan(topology.ring, topology.ring, rows_on_nodes(self._settings, topology))
        _demand_movable(plan)
        with endpoint.rebuilding(self._settings) as cursor:
            self._moved.mycat = cursor is None
            if cursor is not None:
                waited = endpoint.build(self._settings, cursor, whole_tables=True)
                self._moved.reader_wait_s = max(self._moved.reader_wait_s, waited)
        self._tell("unlink", 0, 1)
        staying.drop(self._settings, topology)
        end_journal(self._settings)

    def _stream_runs(self) -> bool:
        state = self._supervisor.states().get(STREAM)
        return state is not None and state.state not in STOPPED

    def _stop_stream(self) -> None:
        if not self._stream_runs():
            return
        self._paused = time.monotonic()
        self._supervisor.stop(STREAM)
        end = time.monotonic() + services(self._settings)[STREAM].stop_s + _STOP_GRACE_S
        while self._stream_runs():
            if time.monotonic() > end:
                raise ServiceError(
                    "The stream does not stop. See `kakou logs stream`, then run the command again."
                )
            time.sleep(0.2)

    def _start_stream(self, journal: Journal | None) -> None:
        """Where it ran before, and the supervisor does too; does not wait."""
        if journal is None or not journal.stream or self._supervisor.pid() is None or self._stream_runs():
            return
        self._supervisor.start(STREAM)
        if self._paused:
            self._moved.stream_paused_s = round(time.monotonic() - self._paused, 1)

    def _start_nodes(self, added: tuple[str, ...]) -> None:
        if self._supervisor.pid() is not None:
            lifecycle.add(self._settings, set(added), console=Console(quiet=True))
        for node in added:
            try:
                connect(self._settings, node, "root", database="").close()
            except pymysql.MySQLError as error:
                raise ServiceError(
                    f"{node} does not answer at port {self._settings.port(node)}. Start it as an empty "
                    "server with the same root password as the others, then run the command again."
                ) from error
        migrate(self._settings.model_copy(update={"mycat_conf": str(coming_dir(self._settings))}))

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._tell(name, 0, 0)
        began = time.monotonic()
        yield
        self._moved.seconds[name] = round(time.monotonic() - began, 3)


def _demand_movable(plan: Plan) -> None:
    if plan.strays:
        (node, gate), rows = next(iter(plan.strays.items()))
        raise StorageError(
            f"{sum(plan.strays.values())} rows lie where the ring does not put them, for example {rows} of "
            f"gate {gate} on {node}. Find out who wrote them; nothing is moved until they are right."
        )
    if not plan.only_to_new:
        raise StorageError("The two rings differ in more than the added nodes. Restore mycat_conf first.")
