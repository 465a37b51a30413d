"""Running totals of a query in a Redis hash, each batch counted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import redis

from kakou.connections import redis_client
from kakou.settings import Settings
from spark_jobs.sinks.patience import Later

# KEYS: the hash. ARGV: query, batch, number of totals, then name and increment of each, then name and value
# of each other field. Another query begins at nought; a batch that was counted is not counted again.
_COUNT: Final = """
local query, batch = ARGV[1], tonumber(ARGV[2])
if redis.call('HGET', KEYS[1], 'query') ~= query then
  redis.call('DEL', KEYS[1])
elseif tonumber(redis.call('HGET', KEYS[1], 'batch')) >= batch then
  return 0
end
redis.call('HSET', KEYS[1], 'query', query, 'batch', ARGV[2])
local at = 4
for i = 1, tonumber(ARGV[3]) do
  redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1])
  at = at + 2
end
while at < #ARGV do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  at = at + 2
end
return 1
"""


class Counter:
    """One hash of totals; ``kakou.redis_keys`` names them.

    The totals are for people and screens; the truth is at the nodes. So a batch does not wait for Redis: what
    could not be counted is added to the next batch.
    """

    def __init__(self, settings: Settings, key: str) -> None:
        self._key = key
        self._redis: redis.Redis = redis_client(settings)
        self._script = self._redis.register_script(_COUNT)
        self._later = Later(f"counting in {key}")
        self._owed: dict[str, int] = {}

    def count(self, query: str, batch: int, totals: Mapping[str, int], facts: Mapping[str, str]) -> bool:
        """Adds to the totals and sets the facts, now or with a later batch; returns True if now."""
        owed = {name: self._owed.get(name, 0) + number for name, number in totals.items()}
        told = self._later(lambda: self.add(query, batch, owed, facts))
        self._owed = {} if told else owed
        return told

    def add(self, query: str, batch: int, totals: Mapping[str, int], facts: Mapping[str, str]) -> bool:
        """Adds to the totals and sets the facts; returns False if this batch was counted before.

        Raises:
            redis.RedisError: Redis is away; nothing or all was done.
        """
        arguments = [query, str(batch), str(len(totals))]
        for pairs in (totals, facts):
            for name, value in pairs.items():
                arguments += [name, str(value)]
        return bool(self._script(keys=[self._key], args=arguments))

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()
