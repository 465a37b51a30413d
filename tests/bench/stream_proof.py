"""What must be true after every run: each record has one fate, and the warnings are the planted ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from stream_feed import places
from stream_job import Progress
from stream_traffic import Traffic

from kakou.connections import connect, node_names
from kakou.fields import COLUMNS_12, TIME_FORMAT
from kakou.settings import Settings
from spark_jobs.ledger.check import read_ledger

STORED = ("gcxh", "value", "partition", "offset")
_SQL_TIME = TIME_FORMAT.replace("%M", "%i").replace("%S", "%s")


def prove(settings: Settings, *traffics: Traffic, producer_log: Path | None = None) -> dict[str, Any]:
    """The ledger of a run that took all of ``traffics``, beside what was planted.

    Args:
        producer_log: every attempt, where somebody noted them.

    Returns:
        ``proven`` is true if the ledger balances, repeated and rejected records are as many as were planted,
        and the table of warnings holds the planted clones and nothing else.
    """
    ledger = read_ledger(settings, producer_log=producer_log)
    sums = {
        name: sum(getattr(one, name) for one in ledger.partitions)
        for name in ("stored", "duplicate", "rejected")
    }
    wanted = {
        "stored": sum(one.understood - one.count("repeat") for one in traffics),
        "duplicate": sum(one.count("repeat") for one in traffics),
        "rejected": sum(one.count("poison") for one in traffics),
    }
    clones = frozenset().union(*(one.clones for one in traffics))
    warned = warned_pairs(settings)
    right = ledger.balanced and sums == wanted and warned == clones
    return {
        "proven": right, "balanced": ledger.balanced, "lost": ledger.lost, "doubled": ledger.doubled,
        "unexpected": ledger.unexpected, "fates": sums, "planted": wanted,
        "warned": len(warned), "clones": len(clones), "clones_warned": len(warned & clones),
        "broken": {law.law: law.words for law in ledger.laws if law.count},
    }  # fmt: skip


def in_words(proof: dict[str, Any]) -> str:
    """One line about a proof."""
    fates = ", ".join(f"{count:,} {name}" for name, count in proof["fates"].items())
    ledger = "balanced" if proof["balanced"] else f"NOT balanced ({proof['broken']})"
    clones = f"{proof['clones_warned']} of {proof['clones']} clones"
    false = f", {proof['warned'] - proof['clones_warned']} false" if proof["warned"] else ""
    asked = "" if proof["fates"] == proof["planted"] else f"; planted were {proof['planted']}"
    return f"ledger {ledger}: {fates}{asked}; {clones} warned of{false}"


def warned_pairs(settings: Settings) -> frozenset[tuple[str, str]]:
    """The two passes of each warning in the table."""
    connection = connect(settings, "dn1", "kakou_reader")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT first_gcxh, second_gcxh FROM warnings")
        return frozenset(cursor.fetchall())


def sent_frame(traffic: Traffic, acked: list[tuple[int, int] | None]) -> pl.DataFrame:
    """The producer's log: columns ``STORED`` and ``kind`` of every acknowledged record, in order."""
    log = pl.DataFrame(
        places(acked),
        schema={"number": pl.Int64, "partition": pl.Int64, "offset": pl.Int64},
        orient="row",
    )
    rows = traffic.passes.select("gcxh", "kind", pl.Series("value", traffic.values, dtype=pl.Binary))
    return rows[log["number"]].with_columns(log["partition"], log["offset"]).select(*STORED, "kind")


def stored_frame(settings: Settings) -> pl.DataFrame:
    """Columns ``STORED`` of every row on every node; the value is made of the fields anew."""
    odd = {"gcxh": "id", "gcsj": f"DATE_FORMAT(gcsj, '{_SQL_TIME}')"}
    fields = ", ".join(odd.get(name, name) for name in COLUMNS_12)
    rows: list[tuple[Any, ...]] = []
    for node in node_names(settings):
        connection = connect(settings, node, "kakou_reader")
        with connection, connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, CONCAT_WS('\t', {fields}), kafka_partition, kafka_offset FROM traffic_data"
            )
            rows += [(gcxh, value.encode(), *place) for gcxh, value, *place in cursor.fetchall()]
    kinds = (pl.String, pl.Binary, pl.Int64, pl.Int64)
    return pl.DataFrame(rows, schema=dict(zip(STORED, kinds, strict=True)), orient="row")


def audit(sent: pl.DataFrame, stored: pl.DataFrame) -> dict[str, int]:
    """Compares the producer's log with the rows, record by record.

    Args:
        sent: as ``sent_frame`` gives it. stored: as ``stored_frame`` does.

    Returns:
        ``acked`` records; ids ``lost`` (acknowledged and not stored), ``doubled`` (rows beyond the first of
        an id), ``unexpected`` (stored and never sent as a pass), ``changed`` (stored otherwise than the
        first record of the id was sent).
    """
    first = sent.filter(pl.col("kind") != "poison").unique("gcxh", keep="first", maintain_order=True)
    once = stored.unique("gcxh")
    both = once.join(first, on="gcxh", suffix="_sent")
    same = (pl.col("value") == pl.col("value_sent")) & (pl.col("offset") == pl.col("offset_sent"))
    return {
        "acked": len(sent),
        "lost": len(first) - len(both),
        "doubled": len(stored) - len(once),
        "unexpected": len(once) - len(both),
        "changed": len(both.filter(~(same & (pl.col("partition") == pl.col("partition_sent"))))),
    }


def wait_for_all(progress: Progress, *traffics: Traffic) -> bool:
    """Whether both queries have handled everything."""
    records = sum(len(one.values) for one in traffics)
    return progress.handled() >= records and progress.detected() >= sum(one.understood for one in traffics)
