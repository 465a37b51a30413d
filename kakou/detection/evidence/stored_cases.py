"""Edge: pages of evidence of cases as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pymysql

from kakou.alert import Alert
from kakou.connections import connect
from kakou.detection.evidence.page import Place, page_of
from kakou.detection.evidence.tracks import Tracks
from kakou.detection.warning_tables import Ask, asking, bodies_of, case_named, tracks_kept_with
from kakou.errors import BadInputError, StorageError
from kakou.settings import Settings
from kakou.topology import load_topology

_PLACES: Final = "SELECT kkmc, lon, lat FROM kkmc_info WHERE lon IS NOT NULL AND lat IS NOT NULL"


class UnknownCaseError(BadInputError):
    """No alert and no case is called so. The operator looks the id up again."""


class NoTracksError(BadInputError):
    """The passes of an alert were not kept. The operator takes another alert of the case, if there is one."""


def evidence_of(settings: Settings, name: str) -> tuple[Alert, str]:
    """An alert and its page of evidence, from the first node.

    Raises:
        UnknownCaseError, NoTracksError: as ``stored_page``.
        StorageError: the node is away.
    """
    node = load_topology(settings.topology_dir).single["warnings"]
    try:
        server = connect(settings, node, "kakou_reader", read_timeout=60)
        with server, server.cursor() as cursor:
            ask = asking(cursor)
            return stored_page(
                ask,
                name,
                lambda: {str(gate): (float(lon), float(lat)) for gate, lon, lat in ask(_PLACES)},
            )
    except pymysql.MySQLError as error:
        raise StorageError(f"{node} does not answer: {error.args[-1]}. See `kakou status`.") from error


def stored_page(ask: Ask, name: str, places: Callable[[], Mapping[str, Place]]) -> tuple[Alert, str]:
    """An alert and its page of evidence.

    Args:
        name: id of the alert, or of its case, whose newest alert is taken then.
        places: where gates are now.

    Raises:
        UnknownCaseError: no alert and no case is called so.
        NoTracksError: its passes were not kept.
    """
    case = [one.alert_id for one in case_named(ask, name)]
    if not case:
        raise UnknownCaseError(
            f"No alert and no case has the id {name}. Column case_id of `v_warnings` lists them; old ones "
            "are deleted after KAKOU_KEEP_WARNINGS_DAYS."
        )
    shown = name if name in case else case[-1]
    kept = tracks_kept_with(ask, shown)
    if kept is None:
        raise NoTracksError(
            f"No passes are kept with alert {shown}: only cloned plates, undecided ones and withdrawals have "
            "them, and none that an older version gave."
        )
    bodies = bodies_of(ask, case)
    steps = [Alert.from_json(bodies[one]) for one in case]
    alert = steps[case.index(shown)]
    return alert, page_of(alert, Tracks.from_json(kept), places(), steps)
