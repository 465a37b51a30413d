"""``kakou stream status`` and the last line of the ledger: what people read, from what was told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console

from kakou.detection import files, plate_file
from kakou.detection.times import now_stamp, utc_now
from spark_jobs import stream_commands
from spark_jobs.ledger.commands import _summary
from spark_jobs.ledger.evidence import Law, Ledger
from spark_jobs.stream_commands import QueryStatus, _state


def told(seconds_ago: float, **changes: str) -> dict[str, Any]:
    """What a query has written to Redis so long ago: 60 of 100 records taken."""
    at = now_stamp(utc_now() - timedelta(seconds=seconds_ago), "Asia/Shanghai")
    fields = {"offsets": json.dumps({"0": 60}), "handled_per_second": "30.0", "arriving_per_second": "10.0"}
    return {**fields, "batch": "7", "records": "20", "seconds": "0.5", "at": at, **changes}


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *rows: QueryStatus) -> str:
    monkeypatch.setattr(stream_commands, "query_states", lambda settings: list(rows))
    monkeypatch.setattr(files, "places_not_used", lambda settings: [])
    monkeypatch.setattr(plate_file, "past_not_used", lambda settings: "")
    monkeypatch.setattr(stream_commands, "Console", lambda: Console(width=80))
    stream_commands.status(as_json=False)
    return capsys.readouterr().out


def test_a_query_that_was_heard_of_is_caught_up_when_its_spare_speed_says() -> None:
    state = _state("ingest", told(3), {"0": 100})
    assert (state.lag, state.catch_up_seconds, state.silent) == (40, 2.0, False)


def test_of_a_silent_query_nobody_knows_when_it_is_caught_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its speeds are those before it fell silent; that nothing waits is known all the same."""
    state = _state("ingest", told(95), {"0": 100})
    assert (state.lag, state.catch_up_seconds, state.silent) == (40, None, True)
    assert _state("ingest", told(95), {"0": 60}).catch_up_seconds == 0
    assert "unknown" not in shown(monkeypatch, capsys, _state("ingest", told(95), {"0": 60}))
    text = shown(monkeypatch, capsys, state)
    assert "handled/s" not in text and "unknown" in text
    assert "ingest has said nothing for 95 s" in text and "kakou logs stream" in text


def test_every_figure_of_two_queries_fits_into_80_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = [_state(name, told(3), {"0": 3_000_060}) for name in ("ingest", "detection")]
    text = shown(monkeypatch, capsys, *states)
    for figure in ("3,000,000", "7: 20 records in 0.50 s", "150,000 s", str(states[0].at)[11:19]):
        assert text.count(figure) == 2, text


def test_one_batch_alone_tells_no_speed_and_no_query_no_lag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = _state("ingest", told(1, handled_per_second="0.0", arriving_per_second="0.0"), {"0": 100})
    text = shown(monkeypatch, capsys, fresh, _state("detection", {}, {"0": 100}))
    assert "not known yet" in text and "no batch yet" in text


WAITS = "NOT balanced yet: 5 wait for the stream (`kakou stream status`; --wait waits longer)"


@pytest.mark.parametrize(
    ("lost", "behind", "words"),
    [
        (0, 0, "balanced: lost 0"),
        (5, 0, "NOT balanced: lost 5"),
        (5, 5, f"{WAITS}; lost 0"),
        (7, 5, f"{WAITS}; lost 2"),
    ],
)
def test_what_merely_waits_is_not_called_lost(lost: int, behind: int, words: str) -> None:
    found = Ledger((), lost, 0, 0, behind, (Law("L1", lost, ""),))
    assert _summary(found) == f"{words}, doubled 0, unexpected 0"
