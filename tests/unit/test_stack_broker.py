"""Small rules of the broker's start."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest

from kakou.stack.services import broker


def test_a_cluster_is_never_named_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """One name in 64 would begin with a dash, and Kafka's tool would not take it for a name."""
    dash, plain = UUID(bytes=b"\xfb" + bytes(15)), UUID(bytes=b"\x01" + bytes(15))
    names = iter([dash, dash, plain])
    monkeypatch.setattr(broker.uuid, "uuid4", lambda: next(names))
    assert base64.urlsafe_b64encode(dash.bytes).startswith(b"-")
    found = broker._cluster_id()
    assert base64.urlsafe_b64decode(found + "==") == plain.bytes and len(found) == 22
