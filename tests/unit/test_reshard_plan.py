"""The plan of a re-shard: what moves, what is misplaced, and that nothing moves between old nodes."""

from __future__ import annotations

import pytest

from kakou.sharding import Ring, build_ring
from sql.reshard_plan import make_plan, moving_share, only_to_new

TWO, THREE = build_ring(("dn1", "dn2")), build_ring(("dn1", "dn2", "dn3"))
GATES = [f"S{n}_Gate_K{n % 977}" for n in range(4_000)]


def test_rows_are_summed_by_gate_over_tables() -> None:
    gate = next(one for one in GATES if THREE.locate(one) == "dn3")
    home, away = TWO.locate(gate), next(one for one in TWO.nodes if one != TWO.locate(gate))
    plan = make_plan(
        TWO,
        THREE,
        {
            (home, "traffic_data", gate): 5,
            (home, "flow_hourly", gate): 2,
            (home, "kkmc_info", gate): 0,
            (away, "kkmc_info", gate): 0,
        },
    )
    (move,) = plan.moves
    assert (move.gate, move.old, move.new) == (gate, home, "dn3")
    assert move.rows == {"traffic_data": 5, "flow_hourly": 2}
    assert plan.rows("traffic_data", moving=True) == 5
    assert not plan.strays


def test_misplaced_rows_are_named_and_a_gate_without_rows_is_none() -> None:
    gate = GATES[0]
    wrong = next(one for one in TWO.nodes if one != TWO.locate(gate))
    assert make_plan(TWO, THREE, {(wrong, "flow_hourly", gate): 3}).strays == {(wrong, gate): 3}
    assert not make_plan(TWO, THREE, {(wrong, "kkmc_info", gate): 0}).strays


def test_writings_that_the_database_takes_for_equal_are_one_gate() -> None:
    name, padded = "Gate_A", "Gate_A  "
    node = TWO.locate(name)
    plan = make_plan(TWO, THREE, {(node, "traffic_data", padded): 4, (node, "flow_hourly", name): 1})
    assert [(one.gate, one.rows) for one in plan.gates] == [(name, {"traffic_data": 4, "flow_hourly": 1})]
    assert not plan.strays


@pytest.mark.parametrize("count", range(1, 6))
def test_the_share_of_the_ring_is_that_of_many_gates(count: int) -> None:
    before = build_ring([f"dn{n + 1}" for n in range(count)])
    after = build_ring([f"dn{n + 1}" for n in range(count + 1)])
    assert only_to_new(before, after)
    moved = sum(before.locate(gate) != after.locate(gate) for gate in GATES) / len(GATES)
    assert abs(moving_share(before, after) - moved) < 0.03


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (build_ring(("dn2", "dn1", "dn3")), "other order"),
        (build_ring(("dn1", "dn2", "dn3"), seed=1), "other seed"),
        (build_ring(("dn1", "dn2", "dn3"), virtual_bucket_times=159), "fewer points"),
        (Ring(THREE.nodes, THREE.points, tuple(1 - o if o < 2 else o for o in THREE.owners), 0), "swapped"),
    ],
)
def test_a_ring_that_moves_more_is_noticed(after: Ring, why: str) -> None:
    assert not only_to_new(TWO, after), why
