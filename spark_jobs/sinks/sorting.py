"""Which record of a batch is stored, which repeats one that is stored, and which contradicts one. Pure.

The first record of an id wins. The same id with the same payload is a duplicate; with another payload it is
rejected as ``id_conflict``. Records are taken in the order (partition, offset), so a repeated batch is
sorted the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from kakou.fields import COLUMNS_12

ID_CONFLICT: Final = "id_conflict"
DUPLICATE: Final = "duplicate"
PLACE: Final = ("partition", "offset")


@dataclass(frozen=True)
class Sorted:
    """A batch, sorted.

    Attributes:
        fresh: to be inserted.
        own: stored already by an earlier try of this batch, or by one under an older checkpoint.
        duplicates: repeat a stored record.
        conflicts: say something else under the id of a stored record.
    """

    fresh: pl.DataFrame
    own: pl.DataFrame
    duplicates: pl.DataFrame
    conflicts: pl.DataFrame


def sort_out(good: pl.DataFrame, stored: pl.DataFrame) -> Sorted:
    """Sorts the good records of a batch.

    Args:
        good: ``partition``, ``offset`` and the 12 fields as text.
        stored: rows that the stores hold under ids of this batch, all nodes together: the 12 fields as text,
            ``kafka_partition`` and ``kafka_offset``.

    Returns:
        four frames with the columns of ``good``, each in the order (partition, offset).
    """
    records = good.sort(PLACE).with_columns(_payload().alias("_payload"))
    earlier = stored.select(
        "gcxh",
        _payload().alias("_stored"),
        pl.col("kafka_partition").alias("_partition"),
        pl.col("kafka_offset").alias("_offset"),
    ).unique("gcxh", keep="first", maintain_order=True)
    seen = records.join(earlier, on="gcxh", how="left", maintain_order="left")
    is_known, same = pl.col("_stored").is_not_null(), pl.col("_stored") == pl.col("_payload")
    own = same & (pl.col("_partition") == pl.col("partition")) & (pl.col("_offset") == pl.col("offset"))

    new = seen.filter(~is_known)
    first = new.unique("gcxh", keep="first", maintain_order=True)
    later = new.join(first.select(PLACE), on=PLACE, how="anti", maintain_order="left")
    later = later.drop("_stored").join(
        first.select("gcxh", pl.col("_payload").alias("_stored")),
        on="gcxh",
        how="left",
        maintain_order="left",
    )
    repeated = pl.concat(
        [seen.filter(is_known & ~own.fill_null(False)).select(later.columns), later.select(later.columns)]
    )
    return Sorted(
        fresh=first.select(good.columns),
        own=seen.filter(is_known & own).select(good.columns),
        duplicates=repeated.filter(same).select(good.columns).sort(PLACE),
        conflicts=repeated.filter(~same).select(good.columns).sort(PLACE),
    )


def _payload() -> pl.Expr:
    return pl.concat_str(COLUMNS_12, separator="\t")
