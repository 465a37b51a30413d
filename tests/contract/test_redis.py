"""What others may rely on in Redis: names, types and lengths."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from kakou import redis_keys
from kakou.connections import redis_client
from kakou.settings import Settings
from spark_jobs.sinks.alerts import AlertList

pytestmark = pytest.mark.integration


@pytest.fixture
def client(stack: Settings) -> Redis:
    client = redis_client(stack)
    client.delete(redis_keys.WARNINGS, *[f"{redis_keys.ALERT_PREFIX}c{n}" for n in range(1100)])
    return client


def test_names_are_those_of_the_contract() -> None:
    assert redis_keys.WARNINGS == "traffic:warnings" and redis_keys.WARNINGS_KEPT == 1000
    ours = [value for name, value in vars(redis_keys).items() if name.isupper() and isinstance(value, str)]
    assert all(key.startswith("kakou:") for key in ours if key != redis_keys.WARNINGS)


def test_a_list_of_json_newest_first_and_never_longer(stack: Settings, client: Redis) -> None:
    bodies = [json.dumps({"alert_id": f"c{n}"}) for n in range(1100)]
    listed = AlertList(stack)
    listed.push(bodies[:600])
    assert client.type(redis_keys.WARNINGS) == "list"
    listed.push(bodies[600:])
    kept = client.lrange(redis_keys.WARNINGS, 0, -1)
    assert kept == list(reversed(bodies))[:1000]
    assert 0 < client.ttl(f"{redis_keys.ALERT_PREFIX}c0") <= redis_keys.ALERT_TTL_S
    # An alert that fell off the end does not come back when its batch does.
    assert listed.push(bodies[:10]) == 0
    client.delete(redis_keys.WARNINGS, *[f"{redis_keys.ALERT_PREFIX}c{n}" for n in range(1100)])
    listed.close()
