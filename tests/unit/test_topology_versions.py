"""A stack's own topology is MyCat's, whole, and swapped at once."""

from __future__ import annotations

import shutil
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from kakou.errors import TopologyError
from kakou.settings import SHIPPED_TOPOLOGY, Settings
from kakou.stack.catalogue import services, stores
from kakou.stack.hooks import hooks
from kakou.topology import load_topology
from kakou.topology_versions import (
    coming_dir,
    coming_topology,
    every_node,
    forget_coming,
    publish,
    stage,
    with_nodes,
)

TEXTS = {path.name: path.read_text(encoding="utf-8") for path in SHIPPED_TOPOLOGY.glob("*.xml")}


def test_added_nodes_are_written_like_the_last_one_and_nothing_else_changes() -> None:
    found = with_nodes(TEXTS, 4)
    old, new = TEXTS["schema.xml"].splitlines(), found["schema.xml"].splitlines()
    rest = iter(line.replace("dn1,dn2,dn3,dn4", "dn1,dn2") for line in new)
    assert all(line in rest for line in old), "every line is there, in its order"
    root = ET.fromstring(found["schema.xml"])
    assert [one.tag for one in root] == ["schema", *["dataNode"] * 4, *["dataHost"] * 4]
    for host, writer in zip(root.findall("dataHost"), root.iter("writeHost"), strict=True):
        number = host.get("name", "").removeprefix("host")
        assert writer.attrib == {
            "host": f"dn{number}",
            "url": f"127.0.0.1:{3305 + int(number)}",
            "user": "kakou_writer",
            "password": "${KAKOU_DB_WRITER_PASSWORD}",
        }
        assert host.attrib == {**root.findall("dataHost")[0].attrib, "name": f"host{number}"}
    assert found["rule.xml"] == TEXTS["rule.xml"].replace(">2<", ">4<")
    assert found["server.xml"] == TEXTS["server.xml"]
    for name, text in TEXTS.items():
        assert found[name].splitlines()[:2] == text.splitlines()[:2], "declaration and DOCTYPE stay"


def test_ports_of_added_nodes_are_those_that_everybody_asks_for(settings: Settings) -> None:
    for node in coming_topology(settings, 9).nodes:
        assert node.port == settings.port(node.name)
    assert not list(settings.var.iterdir()), "a look into the future leaves nothing"


def test_a_version_is_prepared_published_and_may_be_extended_again(settings: Settings) -> None:
    stage(settings, 3)
    stage(settings, 3)
    assert settings.topology_dir == SHIPPED_TOPOLOGY
    assert every_node(settings) == ("dn1", "dn2", "dn3")
    publish(settings)
    assert load_topology(settings.topology_dir).ring.nodes == ("dn1", "dn2", "dn3")
    assert not coming_dir(settings).exists()
    publish(settings)
    stage(settings, 4)
    assert len(load_topology(settings.topology_dir).nodes) == 3
    forget_coming(settings)
    forget_coming(settings)
    assert every_node(settings) == ("dn1", "dn2", "dn3")
    moved = settings.var.rename(settings.var.with_name("elsewhere"))
    assert load_topology(moved / "mycat_conf").ring.nodes == ("dn1", "dn2", "dn3"), "links go with the folder"


def test_a_version_that_got_lost_is_no_stack_as_shipped(settings: Settings) -> None:
    stage(settings, 3)
    publish(settings)
    shutil.rmtree(settings.own_topology_dir.resolve())
    with pytest.raises(TopologyError, match=r"schema\.xml cannot be read"):
        load_topology(settings.topology_dir)


def test_services_and_hooks_follow_the_topology(settings: Settings) -> None:
    assert "dn3" not in services(settings)
    stage(settings, 3)
    assert services(settings)["dn3"].ports == ("dn3",)
    assert stores(settings) == ("kafka", "dn1", "dn2", "dn3", "endpoint", "redis")
    schema = {hook.name: hook.after for hook in hooks(settings)}["schema"]
    assert schema == ("dn1", "dn2", "endpoint"), "a node that is only prepared has no schema to wait for"
    publish(settings)
    assert {hook.name: hook.after for hook in hooks(settings)}["schema"] == ("dn1", "dn2", "dn3", "endpoint")


def test_a_reader_finds_one_version_or_the_other(settings: Settings) -> None:
    stage(settings, 3)
    publish(settings)
    stop, found = threading.Event(), set[int | str]()

    def read() -> None:
        while not stop.is_set():
            try:
                found.add(len(load_topology(settings.topology_dir).nodes))
            except TopologyError as error:
                found.add(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for count in range(4, 9):
            stage(settings, count)
            publish(settings)
    finally:
        stop.set()
        thread.join()
    assert found and found <= set(range(3, 9))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("schema.xml", '"dn2"', '"north"'),
        ("schema.xml", '<dataHost name="host1"', '<dataHost name="host3"'),
        ("schema.xml", 'dataNode="dn1,dn2"', 'dataNode="dn1, dn2"'),
        ("rule.xml", "<property name", "<property  name"),
    ],
)
def test_files_that_cannot_be_extended_are_named(settings: Settings, file: str, old: str, new: str) -> None:
    conf = settings.var / "conf"
    shutil.copytree(SHIPPED_TOPOLOGY, conf)
    (conf / file).write_text(TEXTS[file].replace(old, new), encoding="utf-8")
    with pytest.raises(TopologyError):
        coming_topology(settings.model_copy(update={"mycat_conf": str(conf)}), 3)


@pytest.mark.parametrize("count", [1, 2])
def test_nodes_are_not_taken_away(settings: Settings, count: int) -> None:
    with pytest.raises(TopologyError, match="only be added"):
        coming_topology(settings, count)


def test_a_folder_of_the_operator_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    theirs = settings.model_copy(update={"mycat_conf": str(SHIPPED_TOPOLOGY)})
    with pytest.raises(TopologyError, match="a folder of yours"):
        stage(theirs, 3)
    shutil.copytree(SHIPPED_TOPOLOGY, settings.own_topology_dir)
    with pytest.raises(TopologyError, match="a folder of yours"):
        stage(settings, 3)


def test_more_nodes_than_there_are_ports_for_are_refused_with_their_number() -> None:
    assert len(ET.fromstring(with_nodes(TEXTS, 99)["schema.xml"]).findall("dataNode")) == 99
    with pytest.raises(TopologyError, match="Name 99 nodes at most"):
        with_nodes(TEXTS, 500)
