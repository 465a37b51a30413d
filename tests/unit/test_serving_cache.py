"""The cache of live numbers: one query for many screens, errors for nobody later."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.cache import MAX_KEYS, TtlCache


class Hand:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_value_lives_as_long_as_it_was_given() -> None:
    hand, made = Hand(), []
    cache = TtlCache(hand)

    def make() -> int:
        made.append(1)
        return len(made)

    assert [cache.get("a", 2, make), cache.get("a", 2, make)] == [1, 1]
    hand.now = 1.9
    assert cache.get("a", 2, make) == 1
    hand.now = 2.0
    assert cache.get("a", 2, make) == 2
    assert cache.get("b", 2, make) == 3


def test_many_who_ask_at_once_cost_one_query() -> None:
    cache, started, release = TtlCache(), threading.Event(), threading.Event()
    made: list[int] = []

    def slow() -> int:
        made.append(1)
        started.set()
        assert release.wait(5)
        return 7

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(cache.get, "a", 60.0, slow) for _ in range(8)]
        assert started.wait(5)
        release.set()
        assert [one.result(5) for one in asked] == [7] * 8
    assert len(made) == 1


def test_an_error_is_told_and_then_forgotten() -> None:
    cache, answers = TtlCache(), iter([ZeroDivisionError(), 5])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ZeroDivisionError):
        cache.get("a", 60, make)
    assert cache.get("a", 60, make) == 5


def test_keys_that_callers_choose_do_not_fill_the_memory() -> None:
    cache = TtlCache()
    for key in range(3 * MAX_KEYS):
        assert cache.get(key, 60, lambda key=key: key) == key
    assert len(cache._entries) <= MAX_KEYS
