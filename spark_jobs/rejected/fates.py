"""Edge: ``rejected_records`` of the first node, the fate of each refused record.

``settled`` is null until somebody settles the record. ``replaying``: it is being produced again, or was when
the process died. ``replayed``: it lies in the topic of passes again, at ``settled_partition`` and
``settled_offset``. ``discarded``: a person gave it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kakou.connections import connect, node_names
from kakou.errors import BadInputError
from kakou.passage import REJECT_REASONS
from kakou.settings import Settings
from spark_jobs.rejected.records import Place
from spark_jobs.sinks.sorting import ID_CONFLICT
from sql.migrate import take_lock

LOCK: Final = "kakou_rejected"
REPLAYING: Final = "replaying"
SETTLED: Final = ("replayed", "discarded")
REASONS: Final = (*REJECT_REASONS, ID_CONFLICT)
_CHUNK: Final = 1_000
_HERE: Final = "kafka_partition = %s AND kafka_offset = %s"


@dataclass(frozen=True, slots=True)
class OpenFate:
    """An unsettled record: why and when it was refused, and since when it is replayed (Unix seconds)."""

    reason: str
    rejected_at: datetime
    replaying_since: float | None


class Fates:
    """The table, through one connection; every call commits."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def unsettled(self) -> dict[Place, OpenFate]:
        """Every record that nobody settled, in the order of its place."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT kafka_partition, kafka_offset, reason, rejected_at, "
                "CASE WHEN settled = %s THEN UNIX_TIMESTAMP(settled_at) END FROM rejected_records "
                "WHERE settled IS NULL OR settled = %s ORDER BY kafka_partition, kafka_offset",
                (REPLAYING, REPLAYING),
            )
            rows = cursor.fetchall()
        return {
            (partition, offset): OpenFate(reason, at, None if since is None else float(since))
            for partition, offset, reason, at, since in rows
        }

    def settled_among(self, places: Iterable[Place]) -> set[Place]:
        """Those places whose record is settled."""
        return self._among(places, f"settled IN ('{SETTLED[0]}', '{SETTLED[1]}')")

    def known_among(self, places: Iterable[Place]) -> set[Place]:
        """Those places whose record was refused, settled or not."""
        return self._among(places, "1 = 1")

    def intend(self, places: Iterable[Place]) -> None:
        """Notes, before the first byte is sent, that these are being produced again."""
        self._each(
            f"UPDATE rejected_records SET settled = '{REPLAYING}', settled_at = NOW(3) "  # noqa: S608
            f"WHERE {_HERE} AND settled IS NULL",
            places,
        )

    def release(self, places: Iterable[Place]) -> None:
        """Takes the intention back: they were not produced."""
        self._each(
            "UPDATE rejected_records SET settled = NULL, settled_at = NULL "  # noqa: S608
            f"WHERE {_HERE} AND settled = '{REPLAYING}'",
            places,
        )

    def settle(self, new_places: Mapping[Place, Place]) -> None:
        """Writes down where each lies in the topic of passes now."""
        self._each(
            f"UPDATE rejected_records SET settled = '{SETTLED[0]}', settled_at = NOW(3), "  # noqa: S608
            f"settled_partition = %s, settled_offset = %s WHERE {_HERE} AND settled = '{REPLAYING}'",
            [(*new, *place) for place, new in new_places.items()],
        )

    def discard(self, places: Iterable[Place]) -> None:
        """Gives them up."""
        self._each(
            f"UPDATE rejected_records SET settled = '{SETTLED[1]}', settled_at = NOW(3) "  # noqa: S608
            f"WHERE {_HERE} AND settled IS NULL",
            places,
        )

    def _each(self, statement: str, rows: Iterable[tuple[int, ...]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, list(rows))
        self._connection.commit()

    def _among(self, places: Iterable[Place], what: str) -> set[Place]:
        listed, found = list(dict.fromkeys(places)), set()
        with self._connection.cursor() as cursor:
            for start in range(0, len(listed), _CHUNK):
                cursor.execute(
                    "SELECT kafka_partition, kafka_offset FROM rejected_records "  # noqa: S608
                    f"WHERE (kafka_partition, kafka_offset) IN %s AND {what}",
                    (listed[start : start + _CHUNK],),
                )
                found.update(cursor.fetchall())
        # The next question is asked of the table as it is then.
        self._connection.rollback()
        return found


def demand_reason(reason: str | None) -> None:
    """Demands that records are refused for this at all; None asks for every reason.

    Raises:
        BadInputError: they are not, so that a slip does not look like an empty answer.
    """
    if reason is not None and reason not in REASONS:
        raise BadInputError(f"No record is refused for {reason!r}. Reasons are: {', '.join(REASONS)}.")


@contextmanager
def read_fates(settings: Settings) -> Iterator[Fates]:
    """The table, to be read."""
    with connect(settings, node_names(settings)[0], "kakou_reader") as connection:
        yield Fates(connection)


@contextmanager
def hold_fates(settings: Settings) -> Iterator[Fates]:
    """The table, to be changed; nobody else settles records meanwhile.

    Raises:
        StorageError: somebody else does so, for longer than a minute.
    """
    with connect(settings, node_names(settings)[0], "kakou_writer") as connection:
        with connection.cursor() as cursor:
            take_lock(cursor, LOCK, "another `kakou rejected`")
        yield Fates(connection)
