"""Pages of evidence: what a verdict was given on, as it was kept with the alert."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from kakou.alert import Alert
from kakou.detection.evidence.case_steps import page_and_steps
from kakou.detection.evidence.page import page_of
from kakou.detection.evidence.tracks import Tracks
from serving.problems import NoEvidenceError, UnknownWarningError
from serving.repositories.gates import Gates
from serving.stores import Endpoint
from serving.tables import WARNING_TRACKS, WARNINGS

_W = WARNINGS.c


class Evidence:
    """Reads the alerts of a case and the passes of one of them; gates are where ``kkmc_info`` says now."""

    def __init__(self, endpoint: Endpoint, gates: Gates) -> None:
        self._endpoint = endpoint
        self._gates = gates

    def page(self, name: str) -> str:
        """The page of an alert, or of the newest one of a case, as HTML.

        Args:
            name: id of either.

        Raises:
            UnknownWarningError: there is no such alert and no such case.
            NoEvidenceError: its passes were not kept.
            StoreDownError: the table cannot be reached.
        """
        bodies = self._bodies(_W.case_id == name)
        if not bodies:
            # Two questions, as an OR over two columns would read the whole table.
            case = self._endpoint.scalar(select(_W.case_id).where(_W.alert_id == name))
            bodies = self._bodies(_W.case_id == case) if case else []
        if not bodies:
            raise UnknownWarningError("No alert and no case has that id; old ones are deleted.")
        alert, steps = page_and_steps(map(Alert.from_json, bodies), name)
        tracks = WARNING_TRACKS.c
        kept = self._endpoint.scalar(select(tracks.body).where(tracks.alert_id == alert.alert_id))
        if kept is None:
            raise NoEvidenceError(
                "No passes are kept with this alert: only cloned plates, undecided ones and withdrawals have "
                "them, and none that an older version gave."
            )
        places = {
            gate.kkmc: (gate.lon, gate.lat)
            for gate in self._gates.all()
            if gate.lon is not None and gate.lat is not None
        }
        return page_of(alert, Tracks.from_json(kept), places, steps)

    def _bodies(self, which: ColumnElement[bool]) -> list[str]:
        return [row.body for row in self._endpoint.rows(select(_W.body).where(which))]
