"""Edge: the supervisor that starts our services and starts them again when they die."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

from kakou.errors import ServiceError
from kakou.secret_files import secret
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from kakou.stack.rendering import socket_path
from kakou.stack.service import Service
from kakou.whole_files import write_private

_USER: Final = "kakou"
_START_S: Final = 15
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER
STOPPED: Final = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the supervisor knows of a service; ``pid`` is 0 while it does not run."""

    name: str
    state: str
    pid: int
    uptime_s: int
    note: str


def _adopt_orphans() -> None:
    """Makes a service's orphans children of the supervisor, so that ``down`` can find them; survives exec."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


class Supervisor:
    """The supervisor of one stack, known by its ``var`` folder.

    Calls are made over a Unix socket that only its owner may open, with a password on top.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = socket_path(settings, "supervisor.sock")
        self._config = settings.run_dir / "supervisord.conf"

    def _proxy(self) -> Any:
        transport = SupervisorTransport(
            _USER, secret(self._settings, "supervisor").get_secret_value(), f"unix://{self._socket}"
        )
        # The address is not used: the transport talks to the socket.
        return cast(Any, xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)).supervisor

    def pid(self) -> int | None:
        """Process id of the running supervisor, or None."""
        if not self._socket.exists():
            return None
        try:
            return int(self._proxy().getPID())
        except (OSError, xmlrpc.client.Error):
            return None

    def states(self) -> dict[str, ProcessState]:
        """Every service that the supervisor knows; empty where it does not run."""
        try:
            told = self._proxy().getAllProcessInfo() if self._socket.exists() else []
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            one["name"]: ProcessState(
                name=one["name"],
                state=one["statename"],
                pid=one["pid"],
                uptime_s=max(one["now"] - one["start"], 0) if one["pid"] else 0,
                note=one["spawnerr"] or one["description"],
            )
            for one in told
        }

    def ensure(self, services: Iterable[Service]) -> None:
        """Starts the supervisor unless it runs, and gives it the present configuration.

        Services whose configuration did not change are left running.

        Raises:
            ServiceError: it does not answer.
        """
        write_private(self._config, _configuration(self._settings, services, self._socket))
        if self.pid() is None:
            self._launch()
        else:
            self._update()

    def _launch(self) -> None:
        self._socket.unlink(missing_ok=True)
        log = self._settings.log_dir / "supervisord.out"
        with log.open("wb") as out:
            # Its own session: Ctrl-C in the terminal must reach us only, and then we stop it in order.
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self._config)],
                env=child_environment(self._settings),
                cwd=self._settings.run_dir,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_adopt_orphans,
            )
        end = time.monotonic() + _START_S
        while self.pid() is None:
            if process.poll() is not None or time.monotonic() > end:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise ServiceError(f"The supervisor did not start ({' '.join(last)}). See {log}.")
            time.sleep(0.1)

    def _update(self) -> None:
        proxy = self._proxy()
        added, changed, removed = proxy.reloadConfig()[0]
        for name in [*changed, *removed]:
            proxy.stopProcessGroup(name)
            proxy.removeProcessGroup(name)
        for name in [*added, *changed]:
            proxy.addProcessGroup(name)

    def start(self, name: str) -> None:
        """Starts a service and does not wait.

        Raises:
            ServiceError: its program cannot be run at all.
        """
        try:
            self._proxy().startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise ServiceError(f"{name} cannot be started: {fault.faultString}.") from fault

    def stop(self, name: str) -> None:
        """Asks a service to stop and does not wait; one that does not run is left alone."""
        try:
            self._proxy().stopProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode not in (Faults.NOT_RUNNING, Faults.BAD_NAME):
                raise

    def shut_down(self) -> None:
        """Asks the supervisor to stop every service and then itself; does not wait."""
        with contextlib.suppress(OSError, xmlrpc.client.Error):  # gone already, or ending at this moment
            self._proxy().shutdown()


def log_file(settings: Settings, name: str) -> Path:
    """Log of a service; older parts end in ``.1`` to ``.5``."""
    return settings.log_dir / f"{name}.log"


def _quoted(text: str) -> str:
    """A value for supervisor's configuration, where % begins an expansion."""
    return text.replace("%", "%%")


def _argument(text: str) -> str:
    """One argument of a command line, in the quotes that supervisor takes off again."""
    return '"' + _quoted(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(text: str) -> str:
    """One value of an environment; supervisor knows no escapes there, so the text chooses the quotes."""
    mark = "'" if '"' in text else '"'
    return f"{mark}{_quoted(text)}{mark}"


def _configuration(settings: Settings, services: Iterable[Service], socket: Path) -> str:
    run, log = settings.run_dir, settings.log_dir
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {
            "file": socket,
            "chmod": "0700",
            "username": _USER,
            "password": secret(settings, "supervisor").get_secret_value(),
        },
        "supervisord": {
            "logfile": log / "supervisord.log",
            "logfile_maxbytes": "10MB",
            "logfile_backups": 5,
            "pidfile": run / "supervisord.pid",
            "childlogdir": log,
            "directory": run,
            "umask": "027",
            "minfds": 1024,
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    text = [_section(name, values) for name, values in sections.items()]
    text += [_section(f"program:{one.name}", _program(settings, one)) for one in services]
    return "\n".join(text)


def _program(settings: Settings, service: Service) -> dict[str, object]:
    values: dict[str, object] = {
        "command": " ".join(_argument(one) for one in service.command(settings)),
        "directory": settings.run_dir,
        "autostart": "false",  # `up` starts them in order
        "autorestart": "true",
        "startsecs": service.start_s,
        "startretries": 3,
        "stopsignal": service.stop_signal,
        "stopwaitsecs": service.stop_s,
        "stopasgroup": "true" if service.stop_group else "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _quoted(str(log_file(settings, service.name))),  # expanded twice
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 5,
    }
    extra = service.environment(settings)
    if extra:
        values["environment"] = ",".join(f"{key}={_value(value)}" for key, value in extra.items())
    return values


def _section(name: str, values: dict[str, object]) -> str:
    lines = [
        f"{key}={value if key in ('command', 'environment') else _quoted(str(value))}"
        for key, value in values.items()
    ]
    return "\n".join([f"[{name}]", *lines, ""])
