"""``kakou detect rehearse`` over a small world, one day of it archived, another in the batch output."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from click.testing import Result
from own_stack import isolated_settings
from stored_passes import archive, batch
from stored_plates import in_batches, reads_with_keys
from typer.testing import CliRunner

from etl.generate.world.write import make_world, write_world
from kakou.detection.commands import detect
from kakou.detection.files import load_known, read_gates, read_passes, registered_gates
from kakou.detection.horizon import Past
from kakou.detection.knowledge import learn_knowledge
from kakou.detection.knowledge_bytes import to_bytes
from kakou.detection.learned_rules import rules_of
from kakou.detection.past import PastOfPasses, days_of
from kakou.detection.plate_file import write_plates
from kakou.detection.rehearsal.run import PAGE, REPORT, Asked, rehearse
from kakou.detection.rehearsal.stored_days import read_stored
from kakou.detection.replay import replay
from kakou.detection.rule_files import read_rule, rule_in_force
from kakou.detection.weighing import USUAL, Calibration
from kakou.errors import BadInputError
from kakou.fields import FIELDS_8, TIME_FORMAT
from kakou.settings import Settings

SEED, PASSES = 24, 10_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A world with calls of which some are surer than others, its first day archived, the other one not."""
    settings = isolated_settings(tmp_path_factory.mktemp("world") / "var")
    write_world(settings.var / "world", make_world(SEED, passes=PASSES, days=3))
    settings.clean_dir.mkdir(parents=True)
    (settings.var / "world" / "gates.csv").rename(settings.clean_dir / "kkmc_dimension.csv")
    passes = pl.read_csv(settings.var / "world" / "history.csv", infer_schema=False).with_columns(
        pl.col("GCSJ").str.to_datetime(TIME_FORMAT, time_unit="ms"),
        (pl.col("HPHM").hash(1) % 4).cast(pl.Int64).alias("partition"),
        pl.int_range(pl.len()).alias("offset"),
    )
    first = passes.filter(pl.col("GCSJ") < datetime(2024, 3, 5))
    archive(settings, date(2024, 3, 4), first.select(FIELDS_8), first.select("partition", "offset").rows())
    batch(settings, passes.select(FIELDS_8).sort("GCSJ", "GCXH"))
    return settings


@pytest.fixture(scope="module")
def strict_at(stored: Settings, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How sure a rule must be to call all but the two plates that are least sure."""
    folder = tmp_path_factory.mktemp("strictest")
    _, report = rehearse(stored, Asked(rule(folder, "strictest-1", call_at=0.9999999), out=folder / "out"))
    sure = sorted(float(one["old"]["confidence"]) for one in report["removed"])
    return sum([*sure, 1.0][1:3]) / 2


@pytest.fixture(scope="module")
def strict(
    stored: Settings, strict_at: float, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A stricter rule than the one in force, rehearsed: its folder, and what it came to."""
    folder = tmp_path_factory.mktemp("strict")
    return rehearse(stored, Asked(rule(folder, "strict-1", call_at=strict_at), out=folder / "out"))


def rule(folder: Path, version: str, **values: float) -> Path:
    path = folder / f"{version}.toml"
    lines = [f'version = "{version}"', *(f"{key} = {value}" for key, value in values.items())]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_the_rule_in_force_against_itself_changes_nothing(stored: Settings, tmp_path: Path) -> None:
    _, report = rehearse(stored, Asked(rule(tmp_path, "same-1"), out=tmp_path / "out"))

    counts = report["counts"]
    assert counts["old"] == counts["new"] == counts["kept"] > 2
    assert not counts["changed"] and not report["added"] and not report["removed"]
    assert report["differences"] == ["version"] and report["verdicts"]["old"] == report["verdicts"]["new"]
    assert [(one["day"], one["from"]) for one in report["days"]] == [
        ("2024-03-04", "archive"), ("2024-03-05", "batch"),
    ]  # fmt: skip
    assert report["knowledge"]["from"] == "passes" and report["knowledge"]["single_plates"] is None
    for side in ("old", "new"):
        assert sum(one[side] for one in report["load"]) == counts[side]


@pytest.mark.parametrize("kept", [True, False])
def test_what_the_night_knows_of_single_plates_counts_for_both_but_for_the_judged_days(
    stored: Settings, tmp_path: Path, kept: bool
) -> None:
    judged = read_stored(stored, 7, None, None).passes
    before = judged.with_columns(pl.col("t") - 3 * 86_400)
    learned = pl.concat([judged, before])
    days = days_of(learned).unique()
    written = write_plates(stored.past_dir, partial(in_batches, reads_with_keys(learned), 1000), days)
    gates = registered_gates(stored)["kkmc"].to_list()
    knowledge = learn_knowledge(learned, gates)
    stored.knowledge_file.write_bytes(to_bytes(replace(knowledge, past=written.name)))
    if not kept:
        (stored.past_dir / written.name).unlink()
    try:
        _, report = rehearse(stored, Asked(rule(tmp_path, "same-2"), out=tmp_path / "out"))
    finally:
        stored.knowledge_file.unlink()
    told = report["knowledge"]["single_plates"]
    page = unescape((tmp_path / "out" / PAGE).read_text("utf-8"))
    if kept:
        assert told == {"file": written.name, "days": 2, "why": None}
        assert "known from 2 other days" in page
    else:
        assert (told["file"], told["days"]) == (None, 0) and written.name in told["why"]
        assert "Nothing is known of single plates" in page and "travel_times again" in page
    rules, _ = rules_of(registered_gates(stored), knowledge, rule_in_force(stored))
    past = PastOfPasses(before) if kept else Past()
    expected = Counter(
        str(one.verdict) for one in replay(judged, rules, knowledge, past, stored.timezone).alerts
    )
    assert report["verdicts"]["old"] == report["verdicts"]["new"] == dict(expected)


def test_a_stricter_rule_removes_and_never_adds(
    strict: tuple[Path, dict[str, Any]], strict_at: float
) -> None:
    folder, report = strict

    counts = report["counts"]
    assert counts["removed"] > 1 and counts["kept"] > 0 == counts["added"]
    assert report["differences"] == ["version", "call_at"]
    for one in report["removed"]:
        assert one["old"]["verdict"] == "cloned_plate" != one["new"]["verdict"]
        assert 0.5 < one["old"]["confidence"] < strict_at
    assert json.loads((folder / REPORT).read_text("utf-8")) == report


def test_the_page_shows_both_sides_and_leads_to_the_evidence(strict: tuple[Path, dict[str, Any]]) -> None:
    folder, report = strict
    page = (folder / PAGE).read_text("utf-8")

    words = unescape(page)
    assert "strict-1" in words and "cases-1" in words and "http" not in page
    for one in report["removed"]:
        assert one["plate"] in words
        for side, version in (("old", "cases-1"), ("new", "strict-1")):
            name = one["pages"][side]
            assert f'href="{quote(name)}"' in page
            evidence = (folder / name).read_text("utf-8")
            assert one["plate"] in evidence and version in evidence
            for reason in one[side]["evidence"]:
                assert reason["text"]["zh"] in words and reason["text"]["en"] in words


def test_a_looser_rule_adds_and_never_removes(
    stored: Settings, strict: tuple[Path, dict[str, Any]], strict_at: float, tmp_path: Path
) -> None:
    """The same two rules the other way round."""
    reviews = tmp_path / "reviews.jsonl"
    _, other = strict
    outcomes = ["confirmed" if number else "false" for number, _ in enumerate(other["removed"])]
    lines = [
        json.dumps({"plate": one["plate"], "at": one["last"], "outcome": outcome})
        for one, outcome in zip(other["removed"], outcomes, strict=True)
    ]
    reviews.write_text("\n".join(lines), "utf-8")
    old, new = rule(tmp_path, "strict-1", call_at=strict_at), rule(tmp_path, "loose-1")

    _, report = rehearse(stored, Asked(new, against=old, reviews=reviews, out=tmp_path / "out"))

    assert report["counts"]["removed"] == 0
    assert [one["plate"] for one in report["added"]] == [one["plate"] for one in other["removed"]]
    found = report["reviews"]
    assert (found["confirmed"]["added"], found["false"]["added"]) == (len(lines) - 1, 1)
    assert found["precision"]["new"]["share"] == (len(lines) - 1) / len(lines)
    assert found["precision"]["old"]["share"] is None
    assert [one["reviewed"] for one in report["added"]] == outcomes


def test_reasons_are_weighed_as_reviews_have_it_where_the_stream_does(
    stored: Settings, tmp_path: Path
) -> None:
    """The knowledge in force brings its calibration; a rule that names its own weights keeps them."""
    loose, own = rule(tmp_path, "loose-1"), rule(tmp_path, "own-1", prior=USUAL.prior)
    _, before = rehearse(stored, Asked(own, against=loose, out=tmp_path / "before"))
    gates = read_gates(stored.clean_dir / "kkmc_dimension.csv")["kkmc"].to_list()
    read = read_passes(stored.var / "world" / "history.csv").passes
    by = Calibration(prior=2e-5, trust=0.7)
    stored.knowledge_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        taught = replace(learn_knowledge(read, gates), version="night", reviewed=by)
        stored.knowledge_file.write_bytes(to_bytes(taught))
        _, report = rehearse(stored, Asked(own, against=loose, out=tmp_path / "out"))
        in_force = load_known(stored, read_rule(loose, stored))[0].weighing
    finally:
        stored.knowledge_file.unlink()

    known = report["knowledge"]
    assert (known["from"], known["version"]) == (str(stored.knowledge_file), "night")
    old, new = report["rules"]["old"], report["rules"]["new"]
    assert (old["prior"], old["trust"]) == (by.prior, by.trust) == (in_force.prior, in_force.trust)
    assert (new["prior"], new["trust"]) == (USUAL.prior, USUAL.trust)
    assert report["differences"] == ["version", "prior", "trust"]
    # The world has clones of which reviews are less sure now: the rule with weights of its own calls more.
    assert before["counts"]["old"] == before["counts"]["new"] == report["counts"]["new"]
    assert report["counts"]["added"] + report["counts"]["changed"] > 0 == report["counts"]["removed"]
    for one in report["changed"]:
        assert one["old"]["confidence"] <= one["new"]["confidence"]


def test_another_window_is_judged_anew(stored: Settings, tmp_path: Path) -> None:
    """What differs is not only what a threshold moves: passes further apart are no longer compared."""
    short = rule(tmp_path, "short-1", window_minutes=1)

    _, report = rehearse(stored, Asked(short, days=1, out=tmp_path / "out"))

    assert report["counts"]["new"] < report["counts"]["old"]
    assert [one["day"] for one in report["days"]] == ["2024-03-05"]
    assert any(one["new"] is None for one in report["removed"])


def test_what_cannot_be_rehearsed_writes_nothing(
    stored: Settings, settings: Settings, tmp_path: Path
) -> None:
    bad, good = rule(tmp_path, "bad-1", speed=3), rule(tmp_path, "good-1")
    out, taken, reviews = (tmp_path / name for name in ("out", "taken", "reviews.jsonl"))
    taken.mkdir()
    (taken / "mine.txt").touch()
    reviews.write_text('{"plate": "x", "at": "today", "outcome": "maybe"}', "utf-8")
    for where, asked, said in [
        (stored, Asked(bad), "speed"),
        (stored, Asked(tmp_path / "none.toml"), "cannot be read"),
        (stored, Asked(good, against=bad), "speed"),
        (stored, Asked(good, until=date(2020, 1, 1)), "No day up to 2020-01-01 is stored"),
        (stored, Asked(good, reviews=reviews), "line 1 is no review"),
        (stored, Asked(good, gates=tmp_path / "none.csv"), "does not exist"),
        (settings, Asked(good), "No day is stored"),
    ]:
        with pytest.raises(BadInputError, match=said):
            rehearse(where, replace(asked, out=out))
    with pytest.raises(BadInputError, match="is there already"):
        rehearse(stored, Asked(good, out=taken))
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    assert not out.exists() and not settings.var.exists()


def test_the_command(stored: Settings, strict_at: float, tmp_path: Path) -> None:
    name = str(rule(tmp_path, "strict-1", call_at=strict_at))
    env = {"KAKOU_VAR": str(stored.var), "COLUMNS": "80"}

    done = CliRunner().invoke(detect, ["rehearse", "--rule", name, "--until", "2024-03-04"], env=env)

    assert done.exit_code == 0, done.output
    page = Path(done.stdout.splitlines()[-1])
    assert page.name == PAGE and page.parent.parent == stored.var / "rehearsals" and page.exists()
    assert page.parent.name.startswith("strict-1-")
    assert "Precision is unknown" in done.stdout and "From the archive: 2024-03-04." in done.stdout
    table = [line for line in done.stdout.splitlines() if line.startswith(("│", "┃"))]
    assert len(table) > 6 and max(map(len, table)) <= 80
    words = ["rehearse", "--rule", name, "--days", "1", "--json", "--out", str(tmp_path / "out")]
    answer = CliRunner().invoke(detect, words, env=env)
    assert json.loads(answer.stdout)["folder"] == str(tmp_path / "out"), answer.output


def test_adopt_and_rule(tmp_path: Path) -> None:
    env = {"KAKOU_VAR": str(tmp_path / "var")}

    def kakou(*words: str) -> Result:
        return CliRunner().invoke(detect, words, env=env)

    assert "In force" in kakou("adopt", str(rule(tmp_path, "one-1", call_at=0.75))).stdout
    said = json.loads(kakou("rule", "--json").stdout)
    assert said["call_at"] == {"value": 0.75, "from": "file"} and said["trust"]["from"] == "default"
    assert "0.75" in kakou("rule").stdout
    assert "The former one is kept" in kakou("adopt", "--none").stdout
    assert json.loads(kakou("rule", "--json").stdout)["version"]["value"] == "cases-1"
    for words in (["adopt"], ["adopt", "x.toml", "--none"]):
        assert isinstance(kakou(*words).exception, BadInputError)
