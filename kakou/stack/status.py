"""What each service is doing at this moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from kakou.settings import Settings
from kakou.stack.catalogue import services
from kakou.stack.service import Service
from kakou.stack.supervision import ProcessState, Supervisor


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One line of ``kakou status``.

    Attributes:
        state: the supervisor's word, such as ``RUNNING``, ``BACKOFF``, ``STOPPED``, ``FATAL``.
        health: ``healthy`` (it answers), ``silent`` (it runs and does not answer), ``stopped`` or ``failed``.
    """

    service: str
    state: str
    pid: int
    ports: tuple[int, ...]
    uptime_s: int
    health: str

    @property
    def uptime(self) -> str:
        """Uptime for people, ``1:02:03``; empty while it does not run."""
        if not self.pid:
            return ""
        hours, rest = divmod(self.uptime_s, 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**asdict(self), "ports": list(self.ports)}


def service_rows(settings: Settings) -> list[ServiceRow]:
    """Every service, asked side by side."""
    states = Supervisor(settings).states()
    every = services(settings)
    with ThreadPoolExecutor(max_workers=len(every)) as pool:
        return list(pool.map(lambda one: _row(settings, one, states.get(one.name)), every.values()))


def _row(settings: Settings, service: Service, state: ProcessState | None) -> ServiceRow:
    ports = tuple(settings.port(name) for name in service.ports)
    if state is None or state.state == "STOPPED":
        return ServiceRow(service.name, "STOPPED", 0, ports, 0, "stopped")
    if not state.pid:
        return ServiceRow(service.name, state.state, 0, ports, 0, "failed")
    try:
        service.answers(settings)
        health = "healthy"
    except Exception:  # whatever it is, the service does not answer
        health = "silent"
    return ServiceRow(service.name, state.state, state.pid, ports, state.uptime_s, health)
