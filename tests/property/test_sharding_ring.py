"""What must hold of the ring for any gates and any number of nodes."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from kakou.sharding import build_ring
from sql.spider import placeholder, quote, read_partitions, read_values, sharded_table

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=50)
SHOWN = "CREATE TABLE `t` (\n  `kkmc` varchar(50),\n  PRIMARY KEY (`kkmc`)\n) ENGINE=InnoDB"


def nodes(count: int) -> tuple[str, ...]:
    return tuple(f"dn{n + 1}" for n in range(count))


@settings(deadline=None)  # a ring of six takes a moment to build
@given(NAMES, st.integers(1, 6))
def test_each_key_lies_on_exactly_one_node_and_always_the_same(key: str, count: int) -> None:
    ring = build_ring(nodes(count))
    assert ring.locate(key) in ring.nodes
    assert build_ring(list(nodes(count))).locate(key) == ring.locate(key)


@given(st.lists(NAMES, unique=True), st.integers(1, 5))
def test_a_key_moves_only_to_the_added_node(keys: list[str], count: int) -> None:
    before, after = build_ring(nodes(count)), build_ring(nodes(count + 1))
    for key in keys:
        assert after.locate(key) in (before.locate(key), after.nodes[-1])


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 5), st.integers(0, 2**20))
def test_about_one_in_n_keys_moves_when_a_node_is_added(count: int, start: int) -> None:
    before, after = build_ring(nodes(count)), build_ring(nodes(count + 1))
    keys = [f"S{n}_Gate_K{n % 977}" for n in range(start, start + 4000)]
    moved = sum(before.locate(key) != after.locate(key) for key in keys) / len(keys)
    # 160 points for each node: the new one's share strays from 1/n by about 1/sqrt(160) of itself.
    share = 1 / (count + 1)
    assert abs(moved - share) < 4 * share / 160**0.5 + 4 * (share * (1 - share) / len(keys)) ** 0.5


@given(st.lists(NAMES, max_size=30))
def test_partition_lists_come_back_as_they_were_written(gates: list[str]) -> None:
    ring = build_ring(nodes(2))
    text = sharded_table("t", SHOWN, ring, "kkmc", gates, "t").partition("PARTITION BY")[2]
    for node, values in re.findall(r"PARTITION `(\w+)` VALUES IN \((.*?)\) COMMENT='srv ", text, re.DOTALL):
        listed = set(read_values(values)) - {placeholder(node)}
        assert listed <= set(gates)
        assert {gate.rstrip(" ") for gate in listed} == {
            gate.rstrip(" ") for gate in listed if ring.locate(gate) == node
        }
    every = read_partitions("PARTITION BY" + text)
    assert set(every) <= {*gates, *map(placeholder, ring.nodes)}
    assert {gate.rstrip(" ") for gate in gates} <= {value.rstrip(" ") for value in every}


@given(NAMES)
def test_a_literal_reads_back(name: str) -> None:
    assert read_values(quote(name)) == [name]
