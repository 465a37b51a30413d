"""The ring places every key where a real MyCat 1.6.7 placed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kakou.settings import SHIPPED_TOPOLOGY
from kakou.shard_commands import shard
from kakou.sharding import Ring, build_ring, murmur3_32_utf16
from kakou.topology import load_topology

GOLDEN = Path(__file__).parent.parent / "data" / "mycat_murmur_golden.tsv"


def golden() -> Iterator[tuple[str, str]]:
    """(key, node) as MyCat answered; keys may be empty and hold characters beyond 16 bits."""
    with GOLDEN.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            key, _, node = line.rstrip("\n").rpartition("\t")
            yield key, node


def test_all_404_golden_placements() -> None:
    ring = load_topology(SHIPPED_TOPOLOGY).ring
    pairs = list(golden())
    assert len(pairs) == 404
    assert [(key, ring.locate(key)) for key, _ in pairs] == pairs


def test_golden_file_holds_the_hard_keys() -> None:
    keys = {key for key, _ in golden()}
    assert "" in keys
    assert any(ord(char) > 0xFFFF for key in keys for char in key), "no surrogate pair among the keys"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (build_ring(("dn2", "dn1")), "nodes in another order"),
        (build_ring(("dn1", "dn2"), seed=1), "another seed"),
        (build_ring(("dn1", "dn2"), virtual_bucket_times=159), "another number of points"),
    ],
)
def test_golden_placements_notice_a_wrong_ring(wrong: Ring, why: str) -> None:
    assert any(wrong.locate(key) != node for key, node in golden()), why


def test_murmur_matches_the_published_vectors() -> None:
    # SMHasher's reference over the same bytes: b"\0\0\0\0", and "a\0b\0" with a seed.
    assert murmur3_32_utf16("\0\0", 0) == 0x2362F9DE
    assert murmur3_32_utf16("", 1) == 0x514E28B7
    assert murmur3_32_utf16("", -1) == 0x81F16F39 - (1 << 32)


def test_a_key_above_the_last_point_wraps_to_the_first() -> None:
    hashed = murmur3_32_utf16("gate", 0)
    ring = Ring(("low", "high"), (hashed - 2, hashed - 1), (0, 1), 0)
    assert ring.locate("gate") == "low"


def test_a_key_on_a_point_belongs_to_that_point() -> None:
    hashed = murmur3_32_utf16("gate", 0)
    ring = Ring(("below", "here", "above"), (hashed - 1, hashed, hashed + 1), (0, 1, 2), 0)
    assert ring.locate("gate") == "here"


def test_locate_command_prints_name_tab_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAKOU_MYCAT_CONF", str(SHIPPED_TOPOLOGY))
    keys = [(key, node) for key, node in golden() if key.startswith("KK_")][:5]
    result = CliRunner().invoke(shard, ["locate", *(key for key, _ in keys)])
    assert result.exit_code == 0
    assert result.stdout == "".join(f"{key}\t{node}\n" for key, node in keys)
