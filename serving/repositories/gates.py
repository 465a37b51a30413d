"""Gates, and how people call them."""

from __future__ import annotations

from sqlalchemy import select

from kakou.fields import CODENAME_MAX
from serving.cache import TtlCache
from serving.problems import UnknownGateError
from serving.repositories.flow import Flow
from serving.shapes import Gate
from serving.stores import Endpoint
from serving.tables import KKMC_INFO

ALIAS_SEPARATOR = "|"
CACHE_SECONDS = 10.0


class Gates:
    """Reads ``kkmc_info``; a gate that only the stream knows so far is known by its codename."""

    def __init__(self, endpoint: Endpoint, flow: Flow, cache: TtlCache) -> None:
        self._endpoint = endpoint
        self._flow = flow
        self._cache = cache

    def all(self) -> list[Gate]:
        """Every gate of ``kkmc_info`` by codename."""
        return self._book()[0]

    def codename(self, spelling: str) -> str:
        """The codename of a gate given by codename, Chinese name or alias.

        Raises:
            UnknownGateError: no gate is called so.
        """
        wanted = spelling.strip()
        found = self._book()[1].get(wanted)
        if found is not None:
            return found
        if 0 < len(wanted) <= CODENAME_MAX and self._flow.saw(wanted):
            return wanted
        raise UnknownGateError("No gate has that codename, name or alias. `GET /api/gates` lists them.")

    def _book(self) -> tuple[list[Gate], dict[str, str]]:
        return self._cache.get("gates", CACHE_SECONDS, self._read)

    def _read(self) -> tuple[list[Gate], dict[str, str]]:
        rows = self._endpoint.rows(select(*KKMC_INFO.c).order_by(KKMC_INFO.c.kkmc))
        spellings: dict[str, str] = {}
        for row in rows:
            for alias in (*(row.aliases or "").split(ALIAS_SEPARATOR), row.name):
                if alias:
                    spellings[alias] = row.kkmc
        # A codename always means its own gate, even where another gate has it as an alias.
        spellings.update({row.kkmc: row.kkmc for row in rows})
        fields = Gate.model_fields
        gates = [Gate(**{k: v for k, v in row._mapping.items() if k in fields}) for row in rows]
        return gates, spellings
