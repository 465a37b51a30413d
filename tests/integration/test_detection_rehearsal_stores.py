"""What a rehearsal reads from the running stores: archived days, and what people said of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from api_rows import wipe
from archived_days import DAY, empty_place, store

from kakou.connections import connect
from kakou.detection.rehearsal.comparison import Reviewed
from kakou.detection.rehearsal.stored_days import read_stored
from kakou.detection.rehearsal.stored_reviews import stored_reviews
from kakou.errors import StorageError
from kakou.settings import Settings
from sql.archive import archive_day

pytestmark = pytest.mark.integration
EIGHT = 1_705_305_600


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Settings]:
    with empty_place(stack, tmp_path) as settings:
        wipe(settings)
        yield settings
        wipe(settings)


def run(settings: Settings, *statements: str) -> None:
    with connect(settings, "dn1", "root", autocommit=True) as server, server.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def warning(alert: str, plate: str, second: str, step: int = 1) -> str:
    return (
        f"INSERT INTO warnings VALUES ('{alert}', 'case {plate[1:]}', {step}, 'cloned_plate', 'raised', "
        f"'low', 0.9, '{plate}', 'a', 'b', 'g', 'h', '{second}', '{second}', 1, 'cases-1', '{second}', "
        "'{}', NOW())"
    )


def review(alert: str, verdict: str) -> str:
    return f"INSERT INTO reviews (alert_id, verdict, note, reviewer) VALUES ('{alert}', '{verdict}', '', 'x')"


def test_reviewed_cases_of_the_days_oldest_first(place: Settings) -> None:
    run(
        place,
        warning("a1", "苏C00001", "2024-01-15 08:00:00"),
        warning("a2", "苏C00002", "2024-01-15 23:59:59"),
        warning("a3", "苏C00003", "2024-01-17 00:00:00"),
        warning("b1", "苏C00004", "2024-01-15 08:00:00"),
        warning("b2", "苏C00004", "2024-01-16 08:00:00", step=2),
        warning("b3", "苏C00004", "2024-01-17 08:00:00", step=3),
        review("a1", "confirmed"),
        review("a2", "false"),
        review("a3", "false"),
        review("b3", "confirmed"),
        review("a1", "false"),
        review("b1", "false"),
        review("gone", "confirmed"),
    )
    days = [date(2024, 1, 15), date(2024, 1, 16)]

    found = stored_reviews(place, days)

    # Each case once, by what was said last of any of its alerts, at its newest pass of these days.
    assert found == [
        Reviewed("苏C00002", EIGHT + 16 * 3600 - 1, "false"),
        Reviewed("苏C00001", EIGHT, "false"),
        Reviewed("苏C00004", EIGHT + 24 * 3600, "false"),
    ]
    assert stored_reviews(place, [date(2024, 1, 18)]) == []


def test_a_node_that_is_away_says_so(place: Settings) -> None:
    away = place.model_copy(update={"port_offset": place.port_offset + 7})
    with pytest.raises(StorageError, match=r"The reviews could not be read.*kakou status"):
        stored_reviews(away, [DAY])


def test_days_of_a_real_archive_are_read(place: Settings) -> None:
    store(place, [f"a{n:03d}" for n in range(50)])
    store(place, [f"b{n:03d}" for n in range(20)], DAY + timedelta(days=1))
    for day in (DAY, DAY + timedelta(days=1)):
        archive_day(place, day)

    stored = read_stored(place, 7, None, None)

    assert stored.days == {DAY: ("archive", 50), DAY + timedelta(days=1): ("archive", 20)}
    assert sorted(stored.passes["gcxh"])[:2] == ["a000", "a001"] and len(stored.passes) == 70
    assert set(stored.passes["clppxh"]) == {"大众🚗"} and stored.passes["t"].min() == 1_705_276_800
