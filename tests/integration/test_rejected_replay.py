"""F9: what is refused is exactly what was planted, each for its reason with its bytes, and after a fix of all
a replay leaves the rejected topic empty. Nothing comes back twice, wherever a replay dies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from poison import POISON, line
from topic_stream import Stream, ask, fresh_topics, produce
from typer.testing import CliRunner

from kakou.connections import connect
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.stack.environment import child_environment
from spark_jobs.ledger.check import read_ledger, topic_spans
from spark_jobs.rejected import cut
from spark_jobs.rejected import replay as replaying
from spark_jobs.rejected.commands import rejected
from spark_jobs.rejected.discard import discard
from spark_jobs.rejected.fates import Fates
from spark_jobs.rejected.lines import parse_mended
from spark_jobs.rejected.records import cut_off, each_rejected, rejected_records
from spark_jobs.rejected.replay import replay
from spark_jobs.topic_reading import read_span, spans_of, topic_consumer

pytestmark = pytest.mark.integration
GATES = [f"REPLAY_G{n}" for n in range(4)]
POISONED = [raw for _, raw, _ in POISON] + [None]
REASONS = Counter([reason for *_, reason in POISON] + ["column_count"])


@dataclass
class World:
    """A topic with good and bad records that the sinks have handled."""

    settings: Settings
    stream: Stream

    def take(self) -> None:
        """The stream handles what came meanwhile."""
        self.stream.take()

    def held(self) -> list[tuple[tuple[int, int], str, bytes | None]]:
        return rejected_records(self.settings)

    def fates(self) -> dict[str | None, int]:
        return dict(
            ask(self.settings, "SELECT settled, COUNT(*) FROM rejected_records GROUP BY settled", node="dn1")
        )

    def came_back(self) -> list[tuple[str, bytes]]:
        """Header and value of every record in the topic of passes that was replayed."""
        with topic_consumer(self.settings) as consumer:
            spans = spans_of(consumer, self.settings.topic)
            records = [one for some in read_span(consumer, self.settings.topic, spans) for one in some]
        return [(dict(one.headers)["replayed"].decode(), one.value) for one in records if one.headers]


def good(n: int, **changes: str) -> bytes:
    fields = {"f0": f"replay-{n}", "f2": GATES[n % 4], "f6": f"苏C{n:05d}"}
    return line(**(fields | changes))


def make_world(stack: Settings, values: list[bytes | None]) -> World:
    settings = fresh_topics(stack)
    made = World(settings, Stream(settings))
    produce(settings, values)
    made.take()
    return made


@pytest.fixture
def small(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two good passes, three with a bad time, one with a bad flag, one that contradicts the first."""
    bad_times = [good(10 + n, f4=f"2024/01/15 08:00:0{n}") for n in range(3)]
    made = make_world(stack, [good(0), good(1), *bad_times, good(20, f9="2"), good(0, f7="另一个牌子")])
    environment(made.settings, monkeypatch)
    return made


def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in child_environment(settings).items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(rejected, list(arguments))
    if result.exception is not None:
        raise result.exception
    return result.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in run("list", "--json", *arguments).splitlines()]


def mend_time(text: str) -> str:
    return text.replace("2024/01/15", "2024-01-15")


def write_mended(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """What a person does to an export."""
    path.write_text("".join(json.dumps(change(one)) + "\n" for one in listed()), encoding="utf-8")
    return path


def mended_times(path: Path) -> Path:
    return write_mended(path, lambda one: one | {"text": mend_time(one["text"])})


def test_poison_is_refused_as_planted_and_a_fix_of_all_empties_the_topic(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert len(POISONED) >= 20 and len(REASONS) >= 7
    made = make_world(stack, [*(good(n) for n in range(30)), *POISONED, good(3, f7="另一个牌子")])
    environment(made.settings, monkeypatch)
    refused = made.held()
    assert Counter(reason for _, reason, _ in refused) == REASONS + Counter(id_conflict=1)
    assert Counter(value for *_, value in refused) == Counter([*POISONED, good(3, f7="另一个牌子")])
    assert read_ledger(made.settings).balanced

    # Without a mend nothing is understood.
    told = json.loads(run("replay", "--json"))
    assert (told["replayed"], len(told["stays"]), told["without_bytes"]) == (0, len(refused), 0)
    assert Counter(one["reason"] for one in told["stays"]) == REASONS + Counter(id_conflict=1)
    assert len(made.held()) == len(refused) and made.fates() == {None: len(refused)}

    numbers = iter(range(100, 1000))

    def mend(one: dict[str, Any]) -> dict[str, Any]:
        one.pop("base64", None)
        return one | {"text": good(next(numbers)).decode()}

    mended = write_mended(tmp_path / "mended.jsonl", mend)
    assert json.loads(run("replay", "--mended", str(mended), "--dry-run", "--json"))["replayed"] == len(
        refused
    )
    assert made.came_back() == [] and made.fates() == {None: len(refused)}
    assert json.loads(run("replay", "--mended", str(mended), "--json"))["replayed"] == len(refused)
    with topic_consumer(made.settings) as consumer:
        assert all(start == end for start, end in spans_of(consumer, made.settings.rejected_topic).values())
    assert made.fates() == {"replayed": len(refused)}
    assert Counter(header for header, _ in made.came_back()) == Counter(
        f"{made.settings.topic}/{partition}/{offset}" for (partition, offset), *_ in refused
    )
    made.take()
    found = read_ledger(made.settings)
    assert found.balanced, found
    assert sum(one.stored for one in found.partitions) == 30 + len(refused)
    places = ask(made.settings, "SELECT settled_partition, settled_offset FROM rejected_records", node="dn1")
    spans = topic_spans(made.settings)
    assert all(spans[partition][0] <= offset < spans[partition][1] for partition, offset in places)


def test_the_export_holds_every_byte(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_world(stack, POISONED)
    environment(made.settings, monkeypatch)
    by_place = {place: (reason, value) for place, reason, value in made.held()}
    lines = listed()
    assert {(one["partition"], one["offset"]) for one in lines} == by_place.keys()
    for one in lines:
        reason, value = by_place[one["partition"], one["offset"]]
        assert (one["reason"], one["length"]) == (reason, len(value or b""))
    assert parse_mended(map(json.dumps, lines)) == {place: value for place, (_, value) in by_place.items()}
    assert {one["reason"] for one in listed("--reason", "nul")} == {"nul"}
    assert len(listed("--limit", "3")) == 3
    shown = run("list", "--limit", "40")
    assert "40 of 42 shown" in shown and "\x00" not in shown and "bad_time" in shown


def test_what_is_mended_comes_back_and_the_rest_stays_with_its_bytes(small: World, tmp_path: Path) -> None:
    before = {place: (reason, value) for place, reason, value in small.held()}
    shown = run("replay", "--mended", str(mended_times(tmp_path / "m")), "--reason", "bad_time")
    assert shown.startswith("3 sent to the topic of passes again")
    after = {place: (reason, value) for place, reason, value in small.held()}
    assert after == {place: one for place, one in before.items() if one[0] != "bad_time"}
    assert len(small.held()) == 2, "no copy of what lay behind a settled record is left"
    small.take()
    assert read_ledger(small.settings).balanced
    stored = ask(small.settings, "SELECT id FROM traffic_data WHERE id LIKE 'replay-1_'")
    assert sorted(stored) == [("replay-10",), ("replay-11",), ("replay-12",)]
    shown = run("replay")
    assert "1 stay: bad_flag" in shown and "1 stay: id_conflict" in shown and "under another id" in shown
    # Those that are settled are not sent again, whatever the file says.
    assert run("replay", "--mended", str(tmp_path / "m")).startswith("0 sent")
    assert len(small.came_back()) == 3


def test_a_contradiction_is_refused_again_until_its_id_is_mended(small: World, tmp_path: Path) -> None:
    brand = write_mended(tmp_path / "a", lambda one: one | {"text": one["text"].replace("另一个", "又一个")})
    assert replay(small.settings, "id_conflict", mended_of(brand)).replayed == 1
    small.take()
    assert Counter(reason for _, reason, _ in small.held())["id_conflict"] == 1, "refused at its new place"
    other = write_mended(
        tmp_path / "b", lambda one: one | {"text": one["text"].replace("replay-0", "replay-x")}
    )
    assert replay(small.settings, "id_conflict", mended_of(other)).replayed == 1
    small.take()
    assert "id_conflict" not in {reason for _, reason, _ in small.held()}
    assert read_ledger(small.settings).balanced


def mended_of(path: Path) -> dict[tuple[int, int], bytes | None]:
    return parse_mended(path.read_text("utf-8").splitlines(keepends=True))


class Died(BaseException):
    """As if the process had been killed here."""


def die(*_: object, **__: object) -> Any:
    raise Died


# Where it dies, and how many records are in the topic of passes by then.
DEATHS: dict[str, tuple[object, str, int]] = {
    "before the bytes": (replaying._Sender, "_produce", 0),
    "before an answer": (replaying, "delivered", 3),
    "before the new places are written": (Fates, "settle", 3),
    "before the rest is appended again": (cut, "_append", 3),
    "before the cut": (cut, "cut_off", 3),
}


@pytest.mark.parametrize("death", DEATHS)
def test_wherever_a_replay_dies_nothing_comes_back_twice(small: World, tmp_path: Path, death: str) -> None:
    mended = mended_of(mended_times(tmp_path / "m"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(*DEATHS[death][:2], die)
        replay(small.settings, "bad_time", mended)
    assert len(small.came_back()) == DEATHS[death][2]
    replay(small.settings, "bad_time", mended)
    assert Counter(Counter(header for header, _ in small.came_back()).values()) == {1: 3}
    assert small.fates() == {"replayed": 3, None: 2}
    assert len(small.held()) == 2
    small.take()
    ledger = read_ledger(small.settings)
    assert ledger.balanced and sum(one.duplicate for one in ledger.partitions) == 0


def test_a_dry_run_sees_what_a_dead_replay_had_sent_and_changes_nothing(small: World, tmp_path: Path) -> None:
    mended = mended_of(mended_times(tmp_path / "m"))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(Fates, "settle", die)
        replay(small.settings, "bad_time", mended)
    result = replay(small.settings, dry_run=True)
    assert (result.found, result.replayed) == (3, 0)
    assert small.fates() == {"replaying": 3, None: 2}
    assert read_ledger(small.settings).broken == ("L1", "L2"), "the stream has not handled them yet"


def test_bytes_that_kafka_dropped_come_back_from_an_export(small: World, tmp_path: Path) -> None:
    mended = mended_of(mended_times(tmp_path / "m"))
    with topic_consumer(small.settings) as consumer:
        end = spans_of(consumer, small.settings.rejected_topic)[0][1]
    cut_off(small.settings, {0: end})
    assert replay(small.settings).without_bytes == 5
    assert "5 are known by their place only" in run("list")
    assert replay(small.settings, "bad_time", mended).replayed == 3


def test_giving_up_needs_a_yes_and_removes_the_bytes(small: World) -> None:
    (flag,) = [place for place, reason, _ in small.held() if reason == "bad_flag"]
    with pytest.raises(BadInputError, match="1 records would be given up"):
        run("discard", "--place", f"{flag[0]}/{flag[1]}")
    assert len(small.held()) == 5
    assert run("discard", "--place", f"{flag[0]}/{flag[1]}", "--yes") == "1 records given up\n"
    assert run("discard", "--reason", "bad_time", "--yes") == "3 records given up\n"
    assert [reason for _, reason, _ in small.held()] == ["id_conflict"]
    assert small.fates() == {"discarded": 4, None: 1}
    assert read_ledger(small.settings).balanced
    with pytest.raises(BadInputError, match="No unsettled record lies at"):
        discard(small.settings, places=[flag], sure=True)
    with pytest.raises(BadInputError, match="Name what is to be given up"):
        run("discard", "--yes")


def test_foreign_records_of_the_rejected_topic_stay(small: World, tmp_path: Path) -> None:
    other = small.settings.model_copy(update={"topic": small.settings.rejected_topic})
    produce(other, [b"somebody's own"])
    mended = mended_of(mended_times(tmp_path / "m"))
    discard(small.settings, reason="id_conflict", sure=True)
    replay(small.settings, mended=mended)
    with topic_consumer(small.settings) as consumer:
        left = list(
            each_rejected(consumer, small.settings, spans_of(consumer, small.settings.rejected_topic))
        )
    assert [one.value for one in left if one.place is None] == [b"somebody's own"]
    assert [one.reason for one in left if one.place] == ["bad_flag"]


def test_two_at_once_take_turns(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sql.migrate.LOCK_SECONDS", 1)
    with connect(small.settings, "dn1", "kakou_writer") as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK('kakou_rejected', 1)")
        with pytest.raises(StorageError, match="another `kakou rejected`"):
            replay(small.settings)


def test_a_record_that_was_never_refused_and_a_bad_line_are_named(small: World, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="never refused: 0/999"):
        replay(small.settings, mended={(0, 999): b""})
    path = tmp_path / "bad"
    for text in ("words", "{}", '{"partition": 0, "offset": 1, "text": "a", "base64": "YQ=="}'):
        path.write_text(text + "\n", encoding="utf-8")
        with pytest.raises(BadInputError, match="Line 1 of the mended records"):
            run("replay", "--mended", str(path))
    with pytest.raises(BadInputError, match="cannot be read"):
        run("replay", "--mended", str(tmp_path / "missing"))
