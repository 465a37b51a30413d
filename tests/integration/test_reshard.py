"""From two nodes to three and to four: killed again and again on the way, beside readers, with a topic.

The tests follow each other: what is refused first, then the move with its kills, then what lies where.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result
from own_stack import isolated_settings, quiet_offset
from reshard_kills import move_and_die
from reshard_world import (
    BATCHES,
    DAY,
    GATES,
    RECORDS,
    Sent,
    Watch,
    ask,
    misplaced,
    produce,
    rows_by_node,
    store,
    store_half,
)
from rich.console import Console
from typer.testing import CliRunner

from kakou.connections import connect, node_names, redis_client
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.sharding import build_ring
from kakou.stack import leftovers, lifecycle
from kakou.stack.catalogue import services
from kakou.stack.environment import child_environment
from kakou.stack.status import service_rows
from kakou.stack.supervision import Supervisor
from kakou.topology import load_topology
from serving.readiness import Readiness
from spark_jobs.ledger.check import read_ledger
from spark_jobs.reshard_commands import shard
from sql import endpoint
from sql.archive import archive_day
from sql.archive_files import day_folder
from sql.reshard import abandon, move
from sql.reshard_journal import journal_file
from sql.reshard_plan import read_plan
from sql.retention import delete_old

pytestmark = pytest.mark.integration
# Where a run is killed: the phase, and how often it has been told of before.
KILLS = (("copy", 4), ("publish", 0), ("swap", 0), ("delete", 2), ("delete", 8), ("unlink", 0))


@dataclass
class World:
    """The stack and what it holds."""

    settings: Settings
    sent: Sent
    half: int = BATCHES - 1  # the batch that only the first node has
    told: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    var = tmp_path_factory.mktemp("reshard") / "var"
    settings = isolated_settings(var, port_offset=quiet_offset())
    try:
        lifecycle.up(settings, {"kafka", "dn1", "dn2", "endpoint", "redis"}, console=Console(quiet=True))
        sent = produce(settings)
        for number in range(BATCHES - 1):
            store(settings, sent, number)
        store_half(settings, sent, BATCHES - 1)
        yield World(settings, sent)
    finally:
        lifecycle.down(settings)
        assert not leftovers.alive(leftovers.marked(settings)), "added nodes are stopped with the others"
        shutil.rmtree(var, ignore_errors=True)


def run_shard(settings: Settings, *arguments: str) -> Result:
    """A command of the group, in this process."""
    return CliRunner().invoke(shard, arguments, env=child_environment(settings))


def kakou(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kakou.cli", *arguments],
        env=child_environment(settings), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_plan_names_what_moves_and_changes_nothing(world: World) -> None:
    before = rows_by_node(world.settings)
    ended = run_shard(world.settings, "plan", "--nodes", "3", "--json")
    assert ended.exit_code == 0
    plan = json.loads(ended.stdout)
    old, new = build_ring(("dn1", "dn2")), build_ring(("dn1", "dn2", "dn3"))
    assert {one["gate"]: (one["old"], one["new"]) for one in plan["moves"]} == {
        gate: (old.locate(gate), "dn3") for gate in GATES if new.locate(gate) == "dn3"
    }
    assert plan["only_to_new"] and 0.25 < plan["ring_share"] < 0.42
    rows = [row for found in before.values() for row in found]
    assert plan["rows"]["traffic_data"] == {
        "all": len(rows),
        "moving": sum(new.locate(gate) == "dn3" for _, gate in rows),
    }
    shown = run_shard(world.settings, "plan", "--nodes", "3")
    assert f"{len(plan['moves'])} of 40 gates" in shown.stdout
    assert rows_by_node(world.settings) == before
    assert not list(world.settings.var.glob("mycat_conf*"))


def test_rows_where_they_do_not_belong_are_not_moved(world: World) -> None:
    ring = load_topology(world.settings.topology_dir).ring
    gate = next(one for one in GATES if ring.locate(one) == "dn1")
    with connect(world.settings, "dn2", "root", autocommit=True) as node, node.cursor() as cursor:
        cursor.execute("INSERT INTO flow_hourly VALUES (%s, '2024-01-15', 0, 'x', 'x', 1)", (gate,))
        try:
            assert run_shard(world.settings, "plan", "--nodes", "3").exit_code == 1
            with pytest.raises(StorageError, match=f"1 of gate {gate} on dn2"):
                move(world.settings, 3)
        finally:
            cursor.execute("DELETE FROM flow_hourly WHERE province = 'x'")
    assert node_names(world.settings) == ("dn1", "dn2")


def test_a_writer_in_between_stops_the_move_which_may_then_be_given_up(world: World) -> None:
    before = ask(world.settings, "endpoint", "SELECT COUNT(*) FROM traffic_data")

    def write(phase: str, _done: int, _all: int) -> None:
        if phase == "switch":
            with connect(world.settings, "dn1", "root", autocommit=True) as node, node.cursor() as cursor:
                cursor.execute("INSERT INTO batch_ledger VALUES ('other', 1, '{}', '{}', 0, 0, 0, NOW())")

    try:
        with pytest.raises(StorageError, match="Somebody wrote"):
            move(world.settings, 3, write)
    finally:
        with connect(world.settings, "dn1", "root", autocommit=True) as node, node.cursor() as cursor:
            cursor.execute("DELETE FROM batch_ledger WHERE query = 'other'")
    assert node_names(world.settings) == ("dn1", "dn2")
    assert "dn3" in services(world.settings)
    with pytest.raises(BadInputError, match="to 3 nodes has not ended"):
        move(world.settings, 4)
    abandon(world.settings)
    assert "dn3" not in services(world.settings)
    assert not journal_file(world.settings).exists()
    endpoint.apply(world.settings)
    assert ask(world.settings, "endpoint", "SELECT COUNT(*) FROM traffic_data") == before
    with pytest.raises(BadInputError, match="No re-shard"):
        abandon(world.settings)


@pytest.fixture(scope="module")
def moved(world: World) -> World:
    """Two nodes have become three, with a kill -9 in every phase, while readers looked on."""
    settings = world.settings
    world.told["archived"] = archive_day(settings, DAY.date())
    world.told["before"] = rows_by_node(settings)
    world.told["flow"] = ask(settings, "endpoint", Watch.QUESTIONS[-1])
    with Watch(settings) as watch:
        for phase, after in KILLS:
            move_and_die(settings, 3, phase, after)
            endpoint.apply(settings)  # what `kakou up` does then
        world.told["moved"] = move(settings, 3)
    world.told["watch"] = watch
    return world


def test_readers_never_saw_a_row_twice_or_missed_one(moved: World) -> None:
    watch = moved.told["watch"]
    total = sum(map(len, moved.told["before"].values()))
    assert watch.answers(Watch.QUESTIONS[0]) == [f"(({total},),)"]
    assert watch.answers(Watch.QUESTIONS[2]) == [f"((Decimal('{total}'),),)"]
    assert all(len(watch.answers(question)) == 1 for question in Watch.QUESTIONS)
    assert sum(watch.told.values()) > 100
    print(f"slowest answer {watch.slowest:.2f} s, {sum(watch.told.values())} answers; {moved.told['moved']}")


def test_every_row_lies_where_the_ring_puts_it_and_moved_to_the_new_node_alone(moved: World) -> None:
    before, after = moved.told["before"], rows_by_node(moved.settings)
    assert misplaced(moved.settings) == []
    assert sum(map(len, after.values())) == sum(map(len, before.values()))
    assert after["dn1"] < before["dn1"] and after["dn2"] < before["dn2"]
    assert after["dn3"] == (before["dn1"] - after["dn1"]) | (before["dn2"] - after["dn2"])
    assert 0.2 < len(after["dn3"]) / sum(map(len, after.values())) < 0.47
    assert ask(moved.settings, "endpoint", Watch.QUESTIONS[-1]) == moved.told["flow"]


def test_nothing_of_the_move_is_left(moved: World) -> None:
    assert not journal_file(moved.settings).exists()
    for node in ("dn1", "dn2", "dn3"):
        assert ask(moved.settings, node, "SHOW TABLES LIKE '%\\_\\_of\\_%'") == []
    with connect(moved.settings, "endpoint", "root") as root, root.cursor() as cursor:
        cursor.execute("SHOW CREATE TABLE traffic_data")
        assert re.findall(r'srv "(\w+)", table "(\w+)"', cursor.fetchone()[1]) == [
            (node, "traffic_data") for node in ("dn1", "dn2", "dn3")
        ]
    assert move(moved.settings, 3).copied == 0
    with pytest.raises(BadInputError, match="only be added"):
        move(moved.settings, 2)


def test_batches_that_spark_repeats_are_stored_once(moved: World) -> None:
    """The newest whole batch is known to the new node too; the half one is completed on all three."""
    before = rows_by_node(moved.settings)
    again = store(moved.settings, moved.sent, moved.half - 1)
    assert set(again.values()) == {0}
    assert rows_by_node(moved.settings) == before
    counted = store(moved.settings, moved.sent, moved.half)
    assert counted["stored"] > 500
    after = rows_by_node(moved.settings)
    assert sum(map(len, after.values())) == RECORDS
    assert len(after["dn3"]) > len(before["dn3"]) and len(after["dn2"]) > len(before["dn2"])
    assert misplaced(moved.settings) == []
    assert ask(moved.settings, "endpoint", Watch.QUESTIONS[2]) == [(RECORDS,)]
    ledger = read_ledger(moved.settings)
    assert ledger.balanced, ledger


def test_the_new_node_is_a_service_like_the_others(moved: World) -> None:
    settings = moved.settings
    assert Supervisor(settings).states()["dn3"].state == "RUNNING"
    row = next(one for one in service_rows(settings) if one.service == "dn3")
    assert row.health == "healthy" and row.ports == (settings.port("dn3"),)
    ready = Readiness(settings, redis_client(settings))
    assert ready.check() == dict.fromkeys(("endpoint", "redis", "dn1", "dn2", "dn3"), "ok")
    ready.close()
    located = run_shard(settings, "locate", *GATES).stdout.splitlines()
    ring = build_ring(("dn1", "dn2", "dn3"))
    assert located == [f"{gate}\t{ring.locate(gate)}" for gate in GATES]
    os.kill(Supervisor(settings).states()["dn3"].pid, signal.SIGKILL)
    lifecycle.up(settings, {"dn1", "dn2", "dn3", "endpoint"}, console=Console(quiet=True))
    assert ask(settings, "endpoint", "SELECT COUNT(*) FROM traffic_data") == [(RECORDS,)]


def test_one_more_node_by_the_command_which_ends_with_the_ledger(moved: World) -> None:
    plan = read_plan(moved.settings, 4)
    asked = run_shard(moved.settings, "move", "--nodes", "4")  # nobody answers its question
    assert asked.exit_code == 1 and "Move them now?" in asked.stdout
    assert len(node_names(moved.settings)) == 3
    ended = kakou(moved.settings, "shard", "move", "--nodes", "4", "--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(plan.moves)} gates moved: " in ended.stdout
    assert "ledger: balanced" in ended.stdout
    assert misplaced(moved.settings) == []
    assert sum(map(len, rows_by_node(moved.settings).values())) == RECORDS


def test_a_day_archived_before_and_after_a_move_is_whole_and_can_be_deleted(moved: World) -> None:
    day = DAY.date()
    archive_day(moved.settings, day)
    ids = [
        one
        for file in sorted(Path(day_folder(moved.settings, day)).glob("*.parquet"))
        for one in pq.read_table(file, columns=["GCXH"]).column(0).to_pylist()
    ]
    assert len(ids) == len(set(ids)) == RECORDS
    assert delete_old(moved.settings, 1) == {day: RECORDS}
    assert ask(moved.settings, "endpoint", "SELECT COUNT(*) FROM traffic_data") == [(0,)]
    assert ask(moved.settings, "endpoint", Watch.QUESTIONS[2]) == [(RECORDS,)]
    assert misplaced(moved.settings) == []
    ledger = read_ledger(moved.settings)
    assert ledger.balanced, ledger
