"""The log of a producer: what is written is read, and what is no attempt is named."""

from __future__ import annotations

import pytest

from kakou.errors import BadInputError
from spark_jobs.producer_log import Attempt, format_attempt, parse_attempts

ATTEMPTS = [
    Attempt("苏-1", "ok", 3, 17),
    Attempt("苏-1", "unknown"),
    Attempt('a "quoted"\nid', "failed"),
]


def test_what_is_written_is_read() -> None:
    lines = [format_attempt(one) for one in ATTEMPTS]
    assert all(line.count("\n") == 1 for line in lines)
    assert list(parse_attempts([lines[0], "\n", *lines[1:]])) == ATTEMPTS


def test_a_last_line_that_a_kill_cut_is_left_out() -> None:
    lines = [format_attempt(one) for one in ATTEMPTS]
    assert list(parse_attempts([*lines, lines[0][:20]])) == ATTEMPTS


@pytest.mark.parametrize(
    "line",
    [
        "words\n",
        "[]\n",
        '{"id": "a"}\n',
        '{"id": "a", "status": "perhaps"}\n',
        '{"id": "a", "status": "ok", "partition": 0}\n',
        '{"id": "a", "status": "ok", "partition": 0, "offset": null}\n',
    ],
)
def test_a_line_that_is_no_attempt_is_named(line: str) -> None:
    with pytest.raises(BadInputError, match="Line 2 of the producer log"):
        list(parse_attempts([format_attempt(ATTEMPTS[0]), line]))
