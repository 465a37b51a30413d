"""The proxy of the fault tests does to a connection what it says, and nothing else."""

import socket
import socketserver
import threading
import time
from typing import ClassVar

import pytest
from flaky_proxy import FlakyProxy


class Echo(socketserver.BaseRequestHandler):
    """Says back what it hears, and notes it."""

    heard: ClassVar[list[bytes]] = []

    def handle(self):
        while data := self.request.recv(65536):
            self.heard.append(data)
            self.request.sendall(data)


@pytest.fixture
def proxy():
    Echo.heard = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with FlakyProxy(server.server_address[1]) as flaky:
            yield flaky
        server.shutdown()


def connected(proxy, timeout=5.0):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout)


def said_back(client, data):
    client.sendall(data)
    got = b""
    while len(got) < len(data):
        piece = client.recv(65536)
        if not piece:
            break
        got += piece
    return got


def test_it_forwards_and_counts(proxy):
    with connected(proxy) as one, connected(proxy) as other:
        assert said_back(one, b"a" * 300_000) == b"a" * 300_000
        assert said_back(other, b"b") == b"b"
    assert (proxy.accepted, proxy.forwarded) == (2, 600_002)


def test_a_cut_holds_everything_back_and_healing_brings_it(proxy):
    with connected(proxy) as client:
        assert said_back(client, b"1") == b"1"
        proxy.cut()
        client.sendall(b"2")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert Echo.heard == [b"1"]
        with connected(proxy, 0.3) as late, pytest.raises(TimeoutError):
            said_back(late, b"3")
        proxy.heal()
        client.settimeout(5)
        assert client.recv(1) == b"2"
        with connected(proxy) as new:
            assert said_back(new, b"4") == b"4"


def test_delay_and_throttle_slow_both_ways(proxy):
    with connected(proxy) as client:
        proxy.delay(0.2)
        began = time.monotonic()
        assert said_back(client, b"x") == b"x"
        assert 0.4 <= time.monotonic() - began < 3
        proxy.heal()
        proxy.throttle(20_000)
        began = time.monotonic()
        assert said_back(client, b"y" * 10_000) == b"y" * 10_000
        assert 0.5 <= time.monotonic() - began < 5
        proxy.heal()
        began = time.monotonic()
        assert said_back(client, b"z" * 100_000) == b"z" * 100_000
        assert time.monotonic() - began < 2


def test_lost_answers_leave_the_outcome_unknown(proxy):
    with connected(proxy, 0.3) as client:
        proxy.lose_answers()
        with pytest.raises(TimeoutError):
            said_back(client, b"done?")
        assert Echo.heard == [b"done?"]


def test_half_closed_ends_the_answers_and_severed_resets(proxy):
    with connected(proxy) as client:
        assert said_back(client, b"1") == b"1"
        proxy.half_close()
        assert client.recv(1) == b""
        client.sendall(b"2")
    with connected(proxy) as client:
        assert said_back(client, b"3") == b"3"
        assert b"2" in Echo.heard, "the other side of a half closed connection still works"
        proxy.sever()
        with pytest.raises(ConnectionError):
            client.recv(1)
            client.sendall(b"4")
            client.recv(1)
    with pytest.raises(ConnectionError), connected(proxy) as client:
        said_back(client, b"5")
    proxy.heal()
    with connected(proxy) as client:
        assert said_back(client, b"6") == b"6"
