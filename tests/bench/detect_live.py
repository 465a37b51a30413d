"""What the stream says of a labelled world while its passes come, against what is true in the end.

A final verdict may be right and the way to it full of alarms that were taken back. So each plate counts that
was ever called, however short. The casebook is the stream's; a batch is half a minute of arrivals.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from kakou.alert import CLONED
from kakou.detection.casebook import Casebook
from kakou.detection.contradictions import contradictions_of
from kakou.detection.files import read_gates, read_passes
from kakou.detection.knowledge import learn_knowledge
from kakou.detection.learned_rules import rules_of
from kakou.detection.memory import Memory
from kakou.detection.past import PastOfPasses
from kakou.detection.replay import presumed_arrival
from kakou.detection.rules import Limits, RuleSettings
from kakou.detection.state import BATCH_SCHEMA
from kakou.detection.times import stamp_of

BATCH_S = 30


class Live(NamedTuple):
    """Plates that were called at any time, those that were called in the end, and alerts of a withdrawal."""

    ever: set[str]
    last: set[str]
    withdrawn: int


def live(folder: Path) -> Live:
    """Runs the passes of a world through the stream's casebook."""
    gates, history = read_gates(folder / "gates.csv"), read_passes(folder / "history.csv").passes
    knowledge = learn_knowledge(history, gates["kkmc"].unique(maintain_order=True).to_list())
    rules, _ = rules_of(gates, knowledge, RuleSettings(Limits()))
    stamp = partial(stamp_of, timezone="Asia/Shanghai")
    book = Casebook(Memory(), rules, knowledge, PastOfPasses(history), stamp)
    told = []
    for batch in _batches(read_passes(folder / "passes.csv").passes):
        newest, found, _, fresh = contradictions_of(book.passes, batch, rules)
        told += [alert for alert, _ in book.take(fresh, pl.DataFrame(pl.from_arrow(found)), newest)]
    told += [alert for alert, _ in book.finish()]
    newest_of = {alert.hphm: alert.verdict for alert in told}
    return Live(
        {alert.hphm for alert in told if alert.verdict == CLONED},
        {plate for plate, verdict in newest_of.items() if verdict == CLONED},
        sum(alert.status == "withdrawn" for alert in told),
    )


def _batches(passes: pl.DataFrame) -> Iterator[pa.Table]:
    arrival = presumed_arrival(passes["t"].to_numpy())
    timed = passes.with_columns(pl.Series("arrival", arrival, nan_to_null=True).cast(pl.Int64))
    # Of the last pass nothing can be said.
    slots = np.nan_to_num(arrival, nan=float(np.nanmax(arrival))) // BATCH_S
    cuts = [0, *(np.flatnonzero(np.diff(slots)) + 1).tolist(), len(passes)]
    for low, high in pairwise(cuts):
        part = timed[low:high].select(BATCH_SCHEMA.names)
        yield part.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BATCH_SCHEMA)
