"""Single passes: the search, and the counts of the last minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, desc, select

from kakou.fields import COLUMNS_12, TIME_FORMAT
from serving.plate_pattern import has_wildcard, like_pattern
from serving.shapes import PassItem, PassPage, PassQuery
from serving.stores import Endpoint
from serving.tables import TRAFFIC_DATA

_T = TRAFFIC_DATA.c
_COLUMNS = (_T.id.label("gcxh"), *(_T[name] for name in COLUMNS_12[1:]))


class Passes:
    """Reads ``traffic_data``."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def search(self, query: PassQuery) -> PassPage:
        """One page, newest first; ``kkmc`` must be a codename and the times local without an offset."""
        wanted = _conditions(query)
        skipped = (query.page - 1) * query.size
        rows = self._endpoint.rows(
            select(*_COLUMNS)
            .where(*wanted)
            .order_by(desc(_T.gcsj), desc(_T.id))
            .limit(query.size)
            .offset(skipped)
        )
        if (rows and len(rows) < query.size) or (not rows and skipped == 0):
            total = skipped + len(rows)  # this is the last page, so nothing is left to count
        else:
            total = self._endpoint.count(TRAFFIC_DATA, *wanted)
        items = [_item(row._mapping) for row in rows]
        return PassPage(total=total, page=query.page, size=query.size, next_cursor=None, items=items)

    def count_since(self, now: datetime, span: timedelta) -> int:
        """Passes of the ``span`` that ends at ``now``; ``gcsj`` is indexed."""
        return self._endpoint.count(TRAFFIC_DATA, _T.gcsj > now - span, _T.gcsj <= now)


def _conditions(query: PassQuery) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if query.hphm is not None and query.hphm.strip("*"):
        wanted.append(
            _T.hphm.like(like_pattern(query.hphm)) if has_wildcard(query.hphm) else _T.hphm == query.hphm
        )
    if query.kkmc is not None:
        wanted.append(_T.kkmc == query.kkmc)
    if query.start is not None:
        wanted.append(_T.gcsj >= query.start)
    if query.end is not None:
        wanted.append(_T.gcsj <= query.end)
    if query.hpzl is not None:
        wanted.append(_T.hpzl == query.hpzl)
    if query.fxlx is not None:
        wanted.append(_T.fxlx == query.fxlx)
    return wanted


def _item(row: Any) -> PassItem:
    return PassItem(**{**row, "gcsj": row["gcsj"].strftime(TIME_FORMAT)})
