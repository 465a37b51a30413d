"""How a node's table is written for the endpoint."""

from __future__ import annotations

from kakou.sharding import build_ring
from sql.endpoint import missing_gates
from sql.spider import placeholder, quote, read_values, sharded_table, single_table

RING = build_ring(("dn1", "dn2"))
SHOWN = """CREATE TABLE `t` (
  `id` varchar(64) NOT NULL,
  `kkmc` varchar(50) NOT NULL,
  `note` varchar(50) DEFAULT 'PRIMARY KEY (x)',
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`note`),
  UNIQUE KEY `v` (`kkmc`,`note`),
  KEY `plain` (`note`)
) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"""


def test_unique_keys_of_a_sharded_table_hold_the_shard_column_once() -> None:
    text = sharded_table("t", SHOWN, RING, "kkmc", [], "t")
    assert "PRIMARY KEY (`id`,`kkmc`)," in text
    assert "UNIQUE KEY `u` (`note`,`kkmc`)," in text
    assert "UNIQUE KEY `v` (`kkmc`,`note`)," in text
    assert "  KEY `plain` (`note`)\n" in text
    assert "DEFAULT 'PRIMARY KEY (x)'," in text


def test_one_partition_for_each_node_even_without_gates() -> None:
    text = sharded_table("t", SHOWN, RING, "kkmc", [], "t")
    assert text.count("PARTITION `") == 2
    assert quote(placeholder("dn1")) in text
    assert quote(placeholder("dn2")) in text


def test_each_gate_is_listed_once_and_under_its_node() -> None:
    gates = ["KK_0000", "KK_0001", "KK_0001", "it's"]
    lines = sharded_table("t", SHOWN, RING, "kkmc", gates, "t").splitlines()
    for gate in gates:
        holding = [line for line in lines if quote(gate) in line]
        assert len(holding) == 1
        assert f"PARTITION `{RING.locate(gate)}`" in holding[0]


def test_gates_that_the_database_cannot_tell_apart_are_listed_once() -> None:
    text = sharded_table("t", SHOWN, RING, "kkmc", ["a", "a ", "a  "], "t")
    assert (
        len([value for value in read_values(text.partition("PARTITION BY")[2]) if value.strip() == "a"]) == 1
    )
    assert missing_gates(["a ", "b"], ["a"], 50) == {"b"}


def test_a_name_that_no_row_can_hold_is_not_added() -> None:
    assert missing_gates(["x" * 51, "x" * 50], [], 50) == {"x" * 50}


def test_a_single_table_is_linked_to_its_node_with_its_keys_unchanged() -> None:
    text = single_table("t", SHOWN, "dn1", "t")
    assert "PRIMARY KEY (`id`)," in text
    assert 'srv "dn1"' in text
    assert "PARTITION" not in text
    assert "AUTO_INCREMENT=" not in text
