"""A checkpoint of another version is refused in clear words."""

from __future__ import annotations

import pytest

from kakou.errors import StateFormatError
from kakou.settings import Settings
from spark_jobs.checkpoint import checkpoint_of, query_id


def test_the_same_formats_are_taken_again(settings: Settings) -> None:
    folder = checkpoint_of(settings, "detection", {"state": 1, "buckets": 16})
    assert checkpoint_of(settings, "detection", {"buckets": 16, "state": 1}) == folder


def test_another_format_is_refused(settings: Settings) -> None:
    checkpoint_of(settings, "detection", {"state": 1, "buckets": 16})
    with pytest.raises(
        StateFormatError, match=r"buckets 16, state 1.*buckets 32, state 1.*remove that folder"
    ):
        checkpoint_of(settings, "detection", {"state": 1, "buckets": 32})


def test_a_checkpoint_that_says_nothing_is_refused(settings: Settings) -> None:
    (settings.checkpoint_dir / "detection" / "offsets").mkdir(parents=True)
    with pytest.raises(StateFormatError, match="does not say"):
        checkpoint_of(settings, "detection", {"state": 1})


def test_the_id_is_that_of_spark(settings: Settings) -> None:
    folder = checkpoint_of(settings, "ingest", {"ledger": 1})
    (folder / "metadata").write_text('{"id":"3eb02ac9"}\n', encoding="utf-8")
    assert query_id(folder) == "3eb02ac9"
