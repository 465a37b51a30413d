"""Edge: what people found out about cases, from table ``reviews`` or from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import pymysql
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kakou.connections import connect
from kakou.detection.rehearsal.comparison import Reviewed
from kakou.detection.reviews import Outcome
from kakou.detection.warning_tables import all_reviewed, asking
from kakou.errors import BadInputError, KakouError, StorageError
from kakou.secret_files import secret_path
from kakou.settings import Settings
from kakou.topology import load_topology

_ZERO = datetime(1970, 1, 1)


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    plate: Annotated[str, Field(min_length=1)]
    at: datetime
    outcome: Outcome


def stored_reviews(settings: Settings, days: Iterable[date]) -> list[Reviewed]:
    """Reviewed cases of which an alert's second pass was on one of ``days``, at the newest such one; the
    oldest review first.

    Raises:
        StorageError: the node that keeps them does not answer.
    """
    wanted = set(days)
    if not secret_path(settings, "db_reader").exists():
        raise StorageError("The reviews could not be read (no store was ever started here).")
    try:
        keeper = load_topology(settings.topology_dir).single["reviews"]
        with (
            connect(settings, keeper, "kakou_reader", connect_timeout=3) as node,
            node.cursor() as cursor,
        ):
            cases = all_reviewed(asking(cursor))
    except (pymysql.MySQLError, KakouError) as error:
        why = error.args[-1]
        raise StorageError(f"The reviews could not be read ({why}). See `kakou status`.") from error
    found = []
    for case in reversed(cases):
        then = [one for one in case.steps if one.at.date() in wanted]
        if then:
            outcome: Outcome = "confirmed" if case.confirmed else "false"
            found.append(_reviewed(then[-1].hphm, then[-1].at, outcome))
    return found


def read_reviews(path: Path, days: Iterable[date]) -> list[Reviewed]:
    """The same from a file: a JSON object per line with ``plate``, ``at`` (local time of a pass,
    ``YYYY-MM-DD HH:MM:SS``) and ``outcome`` (``confirmed`` or ``false``).

    Raises:
        BadInputError: it is missing, or a line is none.
    """
    wanted = set(days)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read ({error}). Name a file of reviews in UTF-8.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = _Line(**json.loads(line))
        except (ValueError, TypeError, ValidationError) as error:
            raise BadInputError(
                f"{path}, line {number} is no review. Write "
                '{"plate": "苏C12345", "at": "2024-01-15 08:00:10", "outcome": "confirmed"} or "false".'
            ) from error
        if one.at.date() in wanted:
            found.append(_reviewed(one.plate, one.at, one.outcome))
    return found


def _reviewed(plate: str, at: datetime, outcome: Outcome) -> Reviewed:
    return Reviewed(plate, int((at.replace(tzinfo=None) - _ZERO).total_seconds()), outcome)
