"""mycat_conf/ is read as MyCat reads it, and a contradiction in it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kakou.errors import TopologyError
from kakou.settings import PORTS, SHIPPED_TOPOLOGY
from kakou.topology import load_topology

CONF = SHIPPED_TOPOLOGY


def test_the_shipped_topology_is_the_contract() -> None:
    found = load_topology(CONF)
    assert found.schema == "MYETCDB"
    assert [(node.name, node.port, node.database) for node in found.nodes] == [
        ("dn1", 3306, "traffic_db"),
        ("dn2", 3307, "traffic_db"),
    ]
    assert found.column == "kkmc"
    assert found.sharded == ("traffic_data", "flow_hourly")
    assert found.global_ == ("kkmc_info",)
    single = ["warnings", "warning_tracks", "flow_forecast", "reviews", "users", "audit"]
    assert found.single == dict.fromkeys(single, "dn1")


def test_ports_of_the_nodes_are_those_of_the_settings() -> None:
    assert {node.name: node.port for node in load_topology(CONF).nodes} == {
        name: PORTS[name] for name in ("dn1", "dn2")
    }


def test_no_select_without_limit_is_cut_and_no_password_is_kept() -> None:
    assert 'sqlMaxLimit="-1"' in (CONF / "schema.xml").read_text(encoding="utf-8")
    for path in CONF.glob("*.xml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "password" in line and "<!--" not in line:
                assert "${KAKOU_DB_" in line, f"{path.name}: {line.strip()}"


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("rule.xml", '"count">2<', '"count">3<', "count=3"),
        ("rule.xml", '<property name="seed">0</property>', "", "'seed' is missing"),
        ("rule.xml", "<columns>KKMC</columns>", "<columns></columns>", "one column"),
        ("rule.xml", "</mycat:rule>", "", "cannot be read"),
        ("schema.xml", "127.0.0.1:3307", "127.0.0.1:3306", "same physical database"),
        (
            "schema.xml",
            'dataNode="dn1,dn2" rule="sharding-by-kkmc"',
            'dataNode="dn2,dn1" rule="sharding-by-kkmc"',
            "every dataNode in order",
        ),
        ("schema.xml", '<table name="audit" primaryKey="id" dataNode="dn1"/>',
         '<table name="audit" primaryKey="id" dataNode="dn9"/>', "audit"),
        ("schema.xml", 'rule="sharding-by-kkmc"', 'rule="no-such-rule"', "tableRule"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(tmp_path: Path, file: str, old: str, new: str, named: str) -> None:
    conf = tmp_path / "mycat_conf"
    shutil.copytree(CONF, conf)
    text = (conf / file).read_text(encoding="utf-8")
    assert old in text
    (conf / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TopologyError, match=named):
        load_topology(conf)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"schema\.xml cannot be read"):
        load_topology(tmp_path)
