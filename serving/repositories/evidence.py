"""Pages of evidence: what a verdict was given on, as it was kept with the alert."""

from __future__ import annotations

from collections.abc import Mapping

from kakou.detection.evidence.page import Place
from kakou.detection.evidence.stored_cases import NoTracksError, UnknownCaseError, stored_page
from serving.problems import NoEvidenceError, UnknownWarningError
from serving.repositories.gates import Gates
from serving.stores import Endpoint


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
        try:
            return stored_page(self._endpoint.ask, name, self._places)[1]
        except UnknownCaseError as error:
            raise UnknownWarningError("No alert and no case has that id; old ones are deleted.") from error
        except NoTracksError as error:
            raise NoEvidenceError(str(error)) from error

    def _places(self) -> Mapping[str, Place]:
        return {
            gate.kkmc: (gate.lon, gate.lat)
            for gate in self._gates.all()
            if gate.lon is not None and gate.lat is not None
        }
