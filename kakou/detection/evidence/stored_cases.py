"""Edge: cases as the first node keeps them."""

from __future__ import annotations

from typing import Any, Final

import pymysql

from kakou.alert import Alert, is_id
from kakou.connections import connect
from kakou.detection.evidence.case_steps import page_and_steps
from kakou.detection.evidence.page import page_of
from kakou.detection.evidence.tracks import Tracks
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.topology import load_topology

_NO_TRACKS: Final = (
    "No passes are kept with alert {name}: only cloned plates, undecided ones and withdrawals have them, and "
    "none that an older version gave."
)
_OF_CASE: Final = "SELECT body FROM warnings WHERE case_id = %s"
_CASE_OF: Final = "SELECT case_id FROM warnings WHERE alert_id = %s"
_TRACKS: Final = "SELECT body FROM warning_tracks WHERE alert_id = %s"
_PLACES: Final = "SELECT kkmc, lon, lat FROM kkmc_info WHERE lon IS NOT NULL AND lat IS NOT NULL"


def evidence_of(settings: Settings, name: str) -> tuple[Alert, str]:
    """An alert and its page of evidence.

    Args:
        name: id of the alert, or of its case, whose newest alert is taken then.

    Raises:
        BadInputError: no alert and no case is called so, or its passes were not kept.
        StorageError: the node is away.
    """
    node = load_topology(settings.topology_dir).single["warnings"]
    try:
        server = connect(settings, node, "kakou_reader", read_timeout=60)
        with server, server.cursor() as cursor:
            known = is_id(name)
            bodies = _texts(cursor, _OF_CASE, name) if known else []
            for case in [] if bodies or not known else _texts(cursor, _CASE_OF, name):
                bodies = _texts(cursor, _OF_CASE, case)
            if not bodies:
                raise BadInputError(
                    f"No alert and no case has the id {name}. Column case_id of `v_warnings` lists them; old "
                    "ones are deleted after KAKOU_KEEP_WARNINGS_DAYS."
                )
            alert, steps = page_and_steps(map(Alert.from_json, bodies), name)
            kept = _texts(cursor, _TRACKS, alert.alert_id)
            if not kept:
                raise BadInputError(_NO_TRACKS.format(name=alert.alert_id))
            cursor.execute(_PLACES)
            places = {str(gate): (float(lon), float(lat)) for gate, lon, lat in cursor.fetchall()}
    except pymysql.MySQLError as error:
        raise StorageError(f"{node} does not answer: {error.args[-1]}. See `kakou status`.") from error
    return alert, page_of(alert, Tracks.from_json(kept[0]), places, steps)


def _texts(cursor: Any, statement: str, value: str) -> list[str]:
    cursor.execute(statement, (value,))
    return [str(row[0]) for row in cursor.fetchall()]
