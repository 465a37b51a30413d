"""The history that is replayed: observed passes of the batch output, in order of time, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from etl.simulate.pacing import SourceRow
from kakou.errors import BadInputError
from kakou.plates import WHOLE_PLATE_PATTERN

_COLUMNS: Final = ("XZQHMC", "KKMC", "FXLX", "HPZL", "HPHM", "CLPPXH", "PROVINCE", "VEHICLE_TYPE_NAME")
_BATCH: Final = 4096


class History:
    """Reads ``master_data_expanded.parquet`` piece by piece, so that its size does not matter.

    Raises:
        BadInputError: the file is missing or holds no observed pass.
    """

    def __init__(self, parquet: Path) -> None:
        if not parquet.exists():
            raise BadInputError(f"{parquet} is not there; run `kakou etl run` first.")
        self._parquet = parquet
        self.rows = self.whole_plates = 0
        for batch in pq.ParquetFile(parquet).iter_batches(65536, columns=["HPHM", "ORIGIN"]):
            observed = batch.filter(pc.equal(batch["ORIGIN"], "observed"))
            self.rows += observed.num_rows
            self.whole_plates += pc.sum(
                pc.match_substring_regex(observed["HPHM"], WHOLE_PLATE_PATTERN), min_count=0
            ).as_py()
        if not self.rows:
            raise BadInputError(f"{parquet} holds no observed pass; name another raw folder.")

    def endless(self, start: int = 0) -> Iterator[tuple[int, SourceRow]]:
        """Yields (number of the row, row) from row ``start`` on, and begins anew at the end."""
        number = 0
        skip = start % self.rows
        while True:
            for row in self._once():
                if number >= skip:
                    yield number, row
                number += 1
            number, skip = 0, 0

    def _once(self) -> Iterator[SourceRow]:
        for batch in pq.ParquetFile(self._parquet).iter_batches(
            _BATCH, columns=[*_COLUMNS, "GCSJ", "ORIGIN"]
        ):
            observed = batch.filter(pc.equal(batch["ORIGIN"], "observed"))
            seconds = observed["GCSJ"].cast("timestamp[s]").cast("int64").to_pylist()
            columns = [observed[name].to_pylist() for name in _COLUMNS]
            yield from map(SourceRow, seconds, *columns)
