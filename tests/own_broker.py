"""A Kafka broker of a test's own, that may be killed, frozen and stand behind a flaky network.

An example, in which ``settings`` are those of the process under test:

    with OwnBroker(folder / "var") as broker:
        make_topic(broker.settings)     # past the proxy
        settings = broker.settings.model_copy(update={"port_offset": broker.proxy.port - PORTS["kafka"]})
        broker.proxy.cut()
        broker.kill()                   # kill -9 of its own process
        broker.start()
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from flaky_proxy import FlakyProxy

from kakou.settings import load_settings
from kakou.stack.ports import free_offset
from kakou.stack.services import broker as kafka

# Ports of ours end below 10,000; this one is none of them, whatever the offset.
PROXY_PORT = 9099


class OwnBroker:
    """A broker that no supervisor starts again; clients that come through the proxy stay behind it.

    The broker tells its clients to go on at the proxy's port. What a test does past the proxy (``settings``)
    therefore only works while the network is well.

    Args:
        var: the folder of its settings, data and log.

    Attributes:
        settings: its own. proxy: the network before it.
    """

    def __init__(self, var: Path) -> None:
        offset = free_offset("127.0.0.1", 10_040 + os.getpid() % 100 * 100, 100, 23_000)
        settings = load_settings(_env_file=None, var=var, parts=load_settings().parts, port_offset=offset)
        self.settings = settings
        port = PROXY_PORT + settings.port_offset
        self.proxy = FlakyProxy(settings.port("kafka"), port=port, host=settings.host)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.heal()
        self.kill()
        self.proxy.__exit__(kind, error, trace)

    @property
    def pid(self) -> int:
        """Its process; an error if it does not run."""
        assert self._process is not None, "the broker does not run"
        return self._process.pid

    def start(self) -> None:
        """Starts it on its own data and waits until it answers."""
        kafka.SERVICE.prepare(self.settings)
        self._advertise_the_proxy()
        log = self.settings.var / "own-broker.log"
        with log.open("ab") as out:
            command = kafka.SERVICE.command(self.settings)
            self._process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        until = time.monotonic() + kafka.SERVICE.ready_s
        while True:
            try:
                kafka.SERVICE.answers(self.settings)
                return
            except Exception:
                assert self._process.poll() is None, log.read_text(errors="replace")[-3000:]
                assert time.monotonic() < until, "the broker does not answer"
                time.sleep(0.2)

    def kill(self) -> None:
        """kill -9; nothing if it does not run."""
        if self._process is not None:
            self.resume()
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It neither works nor ends until ``resume``."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Ends ``freeze``."""
        os.kill(self.pid, signal.SIGCONT)

    def _advertise_the_proxy(self) -> None:
        path = self.settings.run_dir / "kafka.properties"
        own = f"advertised.listeners=CLIENT://{self.settings.host}:{self.settings.port('kafka')}"
        text = path.read_text(encoding="ascii")
        assert own in text, "the broker's configuration changed: mend this line"
        path.write_text(text.replace(own, own.rpartition(":")[0] + f":{self.proxy.port}"), encoding="ascii")
