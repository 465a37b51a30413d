"""Gates are added beside readers and writers, by several processes, without touching a row."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from pass_rows import ask, clear, insert_rows, pass_row
from rich.console import Console

from kakou.connections import connect, node_names
from kakou.errors import BadInputError, StorageError
from kakou.fields import DIMENSION_COLUMNS
from kakou.settings import Settings
from kakou.stack import lifecycle
from kakou.stack.supervision import Supervisor
from kakou.topology import load_topology
from sql import endpoint
from sql.gates import ensure_gates, load_gates

pytestmark = pytest.mark.integration

PREFIX = "gates-"
HEADER = ",".join(DIMENSION_COLUMNS)


@pytest.fixture(autouse=True)
def _clean(stack: Settings) -> Iterator[None]:
    yield
    for name in node_names(stack):
        with connect(stack, name, "root") as node, node.cursor() as cursor:
            clear(node, PREFIX)
            cursor.execute("DELETE FROM kkmc_info WHERE kkmc LIKE 'GA\\_%'")
            node.commit()
    endpoint.apply(stack)


def rendered(settings: Settings) -> set[str]:
    topology = load_topology(settings.topology_dir)
    with connect(settings, "endpoint", "root") as root, root.cursor() as cursor:
        return endpoint.rendered_gates(cursor, topology)


def test_gates_are_added_once_and_known_afterwards(stack: Settings) -> None:
    names = ["GA_one", "GA_卡口", "GA_🚗", "GA_it's", "GA_back\\slash", 'GA_"quoted"', "GA_100%s"]
    assert ensure_gates(stack, names) == len(names)
    assert ensure_gates(stack, names) == 0
    assert set(names) <= rendered(stack)
    with connect(stack, "endpoint", "kakou_writer") as writer:
        insert_rows(writer, [pass_row(f"{PREFIX}{n}", name) for n, name in enumerate(names)])
        for name in names:
            assert ask(writer, "SELECT kkmc FROM traffic_data WHERE kkmc = %s", name) == [(name,)]


def test_readers_and_writers_go_on_while_gates_are_added(stack: Settings) -> None:
    ensure_gates(stack, ["GA_base"])
    with connect(stack, "endpoint", "kakou_writer") as writer:
        insert_rows(writer, [pass_row(f"{PREFIX}r{n}", "GA_base") for n in range(500)])
    stop, wrong, done = threading.Event(), Counter[str](), Counter[str]()

    def read() -> None:
        with connect(stack, "endpoint", "kakou_reader", autocommit=True) as reader:
            while not stop.is_set():
                try:
                    found = ask(reader, "SELECT COUNT(*) FROM traffic_data WHERE id LIKE %s", PREFIX + "r%")
                    if found != [(500,)]:
                        wrong[str(found)] += 1
                except pymysql.MySQLError as error:
                    wrong[repr(error)] += 1
                done["read"] += 1

    def write() -> None:
        with connect(stack, "endpoint", "kakou_writer") as writer:
            while not stop.is_set():
                try:
                    insert_rows(writer, [pass_row(f"{PREFIX}w{done['written']}", "GA_base")])
                    done["written"] += 1
                except pymysql.MySQLError as error:
                    wrong[repr(error)] += 1

    threads = [threading.Thread(target=task) for task in (read, read, write)]
    for thread in threads:
        thread.start()
    try:
        for n in range(8):
            assert ensure_gates(stack, [f"GA_added_{n}"]) == 1
        endpoint.apply(stack)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == {}
    assert done["read"] > 5
    with connect(stack, "endpoint", "kakou_reader") as reader:
        found = ask(reader, "SELECT COUNT(*) FROM traffic_data WHERE id LIKE %s", PREFIX + "w%")
    assert found == [(done["written"],)]


def test_two_processes_at_once_add_everything(stack: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; from kakou.settings import load_settings; "
        "from sql.gates import ensure_gates; "
        f"s = load_settings(_env_file=None, var=Path({str(stack.var)!r}), port_offset={stack.port_offset}); "
        "[ensure_gates(s, [f'GA_p{sys.argv[1]}_{n}', f'GA_shared_{n}']) for n in range(5)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]
    assert [one.wait(60) for one in running] == [0, 0]
    wanted = {f"GA_{kind}_{n}" for kind in ("pa", "pb", "shared") for n in range(5)}
    assert wanted <= rendered(stack)


def test_an_open_transaction_is_waited_for_without_stopping_the_others(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_gates(stack, ["GA_base"])
    monkeypatch.setattr(endpoint, "RENAME_WAIT_S", 1)
    monkeypatch.setattr(endpoint, "RENAME_TRIES", 2)
    with connect(stack, "endpoint", "kakou_reader") as idle, idle.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM traffic_data")
        with pytest.raises(StorageError, match="keeps a transaction open"):
            ensure_gates(stack, ["GA_late"])
        with connect(stack, "endpoint", "kakou_reader", read_timeout=5) as other:
            assert ask(other, "SELECT COUNT(*) FROM traffic_data WHERE kkmc = 'GA_base'") == [(0,)]
        idle.rollback()
        assert ensure_gates(stack, ["GA_late"]) == 1


def test_an_endpoint_that_was_never_built_is_named(stack: Settings) -> None:
    with connect(stack, "endpoint", "root", database="", autocommit=True) as root, root.cursor() as cursor:
        cursor.execute("DROP DATABASE MYETCDB")
    with pytest.raises(StorageError, match="never built"):
        ensure_gates(stack, ["GA_one"])


def test_known_gates_need_no_node(stack: Settings) -> None:
    # A stream that only meets known gates must not fail here because a node is away.
    ensure_gates(stack, ["GA_base"])
    Supervisor(stack).stop("dn2")
    try:
        with pytest.raises(pymysql.OperationalError):
            connect(stack, "dn2", "root")
        assert ensure_gates(stack, ["GA_base"]) == 0
        assert ensure_gates(stack, ["GA_while_away"]) == 1
    finally:
        lifecycle.up(stack, {"dn2"}, console=Console(quiet=True))


def write_dimension(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_the_dimension_reaches_every_node_and_the_endpoint_once(stack: Settings, tmp_path: Path) -> None:
    file = write_dimension(
        tmp_path / "kkmc_dimension.csv",
        "GA_S325_Place_K63,徐州卡口,别名一|别名二,睢宁县,S325,K63,省际,117.9,33.9",
        "GA_G3_Place_K731,京台卡口,,铜山区,G3,K731,市际,,",
    )
    assert load_gates(stack, file) == 2
    assert {"GA_S325_Place_K63", "GA_G3_Place_K731"} <= rendered(stack)
    for server in ("endpoint", *node_names(stack)):
        with connect(stack, server, "kakou_reader") as reader:
            assert ask(reader, "SELECT * FROM kkmc_info WHERE kkmc LIKE 'GA\\_%%' ORDER BY kkmc") == [
                ("GA_G3_Place_K731", "京台卡口", "", "铜山区", "G3", "K731", "市际", None, None),
                (
                    "GA_S325_Place_K63",
                    "徐州卡口",
                    "别名一|别名二",
                    "睢宁县",
                    "S325",
                    "K63",
                    "省际",
                    117.9,
                    33.9,
                ),
            ]


def test_loading_again_renews_and_keeps_the_others(stack: Settings, tmp_path: Path) -> None:
    load_gates(stack, write_dimension(tmp_path / "a.csv", "GA_a,old,,x,x,x,x,,", "GA_b,stays,,x,x,x,x,,"))
    assert load_gates(stack, write_dimension(tmp_path / "b.csv", "GA_a,new,,x,x,x,x,,")) == 1
    with connect(stack, "endpoint", "kakou_reader") as reader:
        found = ask(reader, "SELECT kkmc, name FROM kkmc_info WHERE kkmc LIKE 'GA\\_%%' ORDER BY kkmc")
    assert found == [("GA_a", "new"), ("GA_b", "stays")]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["KKMC,NAME"], "must have the columns"),
        ([HEADER, "GA_a,n,,x,x,x,x,east,"], "LON 'east' is no number"),
    ],
)
def test_a_bad_dimension_is_refused_whole(
    stack: Settings, tmp_path: Path, lines: list[str], named: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(BadInputError, match=named):
        load_gates(stack, file)
    with connect(stack, "dn1", "kakou_reader") as reader:
        assert ask(reader, "SELECT COUNT(*) FROM kkmc_info WHERE kkmc LIKE 'GA\\_%%'") == [(0,)]


def test_a_missing_dimension_is_named(stack: Settings, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="missing"):
        load_gates(stack, tmp_path / "none.csv")
