"""Starts and stops the stack: in order, side by side where nothing waits for another, and all or nothing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console

from kakou.disk_room import demand_room, told_when_disk_is_full
from kakou.errors import DiskFullError, InstallError, KakouError, ServiceError
from kakou.process_lock import one_after_another
from kakou.settings import Settings
from kakou.stack import leftovers
from kakou.stack.catalogue import chosen, services, stores
from kakou.stack.debian import debian_ready
from kakou.stack.hooks import Hook, hooks
from kakou.stack.interrupts import stop_signals_interrupt, undisturbed
from kakou.stack.jars import JAR_SETS, jars_ready, require_java
from kakou.stack.ports import demand_free_ports
from kakou.stack.progress import StartDisplay
from kakou.stack.rendering import make_folders
from kakou.stack.service import Service
from kakou.stack.supervision import STOPPED, Supervisor, log_file

_LEAST_FREE_GIB: Final = 0.5
_FULL_GIB: Final = 0.05  # with less, a full disk is why a service failed
_LAST_LINES: Final = 5
_POLL_S: Final = 0.4
_STOP_GRACE_S: Final = 15


class _CancelledError(Exception):
    """Another step failed or the operator interrupted; nothing to report."""


def up(settings: Settings, only: set[str] | None = None, *, console: Console | None = None) -> None:
    """Starts the services called ``only``, or all, and returns when each answers.

    Services that run already are left running, so it may be called again at any time. If one does not start,
    the others stay up for the operator to look at; if the operator interrupts, everything is stopped.

    Raises:
        PortTakenError: a port is taken; nothing was started then.
        InstallError: a part is missing; nothing was started then.
        ServiceError: a service did not start or did not answer; the message names its log.
        DiskFullError: no room is left.
    """
    try:
        with stop_signals_interrupt():
            add(settings, only, console=console)
    except KeyboardInterrupt:
        down(settings)
        raise


def add(settings: Settings, only: set[str] | None = None, *, console: Console | None = None) -> None:
    """As ``up``, but an interrupt leaves running what runs."""
    wanted = chosen(settings, only)
    demand_parts(settings)
    demand_room(settings.var, _LEAST_FREE_GIB)
    with told_when_disk_is_full(settings.var):
        make_folders(settings)
        with one_after_another(settings.run_dir / ".lifecycle.lock"):
            _start(settings, wanted, console or Console(stderr=True))


def down(settings: Settings) -> None:
    """Stops every service and the supervisor, and ends what is left of them; nothing where nothing runs."""
    with undisturbed():
        supervisor = Supervisor(settings)
        family = _family(supervisor)
        if family:
            _stop_in_order(settings, supervisor)
            supervisor.shut_down()
            grace = max(one.stop_s for one in services(settings).values()) + _STOP_GRACE_S
            psutil.wait_procs(family[:1], timeout=grace)
        leftovers.end({*family, *leftovers.marked(settings)})


def demand_parts(settings: Settings) -> None:
    """Checks that the servers are installed.

    Raises:
        InstallError: one is missing.
    """
    require_java()
    missing = [f"jars of {name}" for name in JAR_SETS if not jars_ready(settings, name)]
    if not debian_ready(settings):
        missing.append("MariaDB and Redis")
    if missing:
        raise InstallError(
            f"Not installed in {settings.parts}: {', '.join(missing)}. "
            "Run `make install`; `kakou doctor` shows more."
        )


def _family(supervisor: Supervisor) -> list[psutil.Process]:
    """The supervisor and everything that descends from it; empty where it does not run."""
    pid = supervisor.pid()
    if pid is None:
        return []
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _stop_in_order(settings: Settings, supervisor: Supervisor) -> None:
    """Those that write stop before those that they write to; within a group all at once."""
    every, keepers = services(settings), set(stores(settings))
    for group in (every.keys() - keepers, {"endpoint"}, keepers - {"endpoint"}):
        for name in group:
            supervisor.stop(name)
        end = time.monotonic() + max(every[name].stop_s for name in group) + _STOP_GRACE_S
        while time.monotonic() < end:
            states = supervisor.states()
            if all(states[name].state in STOPPED for name in group if name in states):
                break
            time.sleep(_POLL_S / 2)


def _start(settings: Settings, wanted: list[Service], console: Console) -> None:
    supervisor = Supervisor(settings)
    if supervisor.pid() is None:
        leftovers.end(leftovers.marked(settings))  # of a supervisor that was killed
    states = supervisor.states()
    idle = [one for one in wanted if one.name not in states or states[one.name].state in STOPPED]
    demand_free_ports(settings, idle)
    names = {one.name for one in wanted}
    wanted_hooks = [hook for hook in hooks(settings) if set(hook.after) <= names]
    supervisor.ensure(services(settings).values())
    steps = [*(one.name for one in wanted), *(hook.name for hook in wanted_hooks)]
    with StartDisplay(steps, console) as display:
        _Starter(settings, supervisor, wanted, wanted_hooks, display).run()


class _Starter:
    """One start: each step waits in a thread of its own for the steps that it needs."""

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        services: list[Service],
        hooks: list[Hook],
        display: StartDisplay,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._display = display
        self._cancelled = threading.Event()
        self._steps: list[Service | Hook] = [*services, *hooks]
        self._done = {one.name: threading.Event() for one in self._steps}

    def run(self) -> None:
        with ThreadPoolExecutor(max_workers=len(self._steps)) as pool:
            futures: list[Future[None]] = [pool.submit(self._step, one) for one in self._steps]
            try:
                # A wait without a limit would not let Ctrl-C through on every platform.
                left = set(futures)
                while left:
                    ended, left = wait(left, timeout=1, return_when=FIRST_EXCEPTION)
                    if any(one.exception() for one in ended):
                        break
            finally:
                self._cancelled.set()
        for one in futures:
            error = one.exception()
            if error is not None and not isinstance(error, _CancelledError):
                raise error

    def _step(self, step: Service | Hook) -> None:
        for name in step.after:
            if name in self._done:
                while not self._done[name].wait(_POLL_S):
                    self._check_cancelled()
        began = time.monotonic()
        self._check_cancelled()
        try:
            if isinstance(step, Hook):
                self._display.begins(step.name, "")
                step.run(self._settings)
            else:
                self._serve(step)
        except _CancelledError:
            raise
        except BaseException:
            self._display.failed(step.name)
            raise
        self._display.ready(step.name, time.monotonic() - began)
        self._done[step.name].set()

    def _check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise _CancelledError

    def _serve(self, service: Service) -> None:
        state = self._supervisor.states().get(service.name)
        if state is None or state.state in STOPPED:
            self._display.begins(service.name, "preparing")
            service.prepare(self._settings)
            self._check_cancelled()
            self._supervisor.start(service.name)
        self._display.begins(service.name, "starting")
        end = time.monotonic() + service.ready_s
        while True:
            self._check_cancelled()
            try:
                service.answers(self._settings)
                return
            except Exception as error:  # whatever it is, the service does not answer yet
                why = error
            state = self._supervisor.states().get(service.name)
            if state is None or state.state == "FATAL":
                raise _failure(self._settings, service, "did not start") from why
            if time.monotonic() > end:
                raise _failure(self._settings, service, f"did not answer within {service.ready_s} s") from why
            time.sleep(_POLL_S)


def _failure(settings: Settings, service: Service, what: str) -> KakouError:
    try:
        demand_room(settings.var, _FULL_GIB)
    except DiskFullError as error:
        return error
    log = log_file(settings, service.name)
    last = " / ".join(last_lines(log, _LAST_LINES)) or "it wrote nothing"
    return ServiceError(f"{service.name} {what}. See {log}; its last lines: {last}")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log that are not empty; none where there is no file."""
    try:
        with path.open("rb") as log:
            log.seek(max(path.stat().st_size - 400 * count, 0))
            text = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-count:]
