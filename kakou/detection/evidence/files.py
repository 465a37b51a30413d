"""Pages of evidence on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from kakou.alert import Alert
from kakou.detection.evidence.page import Place, page_of
from kakou.detection.evidence.tracks import Tracks
from kakou.errors import BadInputError
from kakou.geography import in_country
from kakou.whole_files import write_text


def places_of(gates: pl.DataFrame) -> dict[str, Place]:
    """Longitude and latitude of the gates that have both, in the country.

    Args:
        gates: as ``read_gates`` returns them.
    """
    placed = gates.drop_nulls(["lon", "lat"])
    rows = placed.select("kkmc", "lon", "lat").iter_rows()
    return {gate: (lon, lat) for gate, lon, lat in rows if in_country(lon, lat)}


def write_evidence(folder: Path, cases: Iterable[tuple[Alert, Tracks]], gates: pl.DataFrame) -> None:
    """Writes a page of evidence for each case, named by plate and case. Pages of other cases stay.

    Args:
        gates: as ``read_gates`` returns them.
    """
    places = places_of(gates)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for alert, tracks in cases:
            page = page_of(alert, tracks, places)
            write_text(folder / f"{alert.hphm}-{alert.case_id[:8]}.html", page)
    except OSError as error:
        raise BadInputError(f"{folder} cannot be written ({error.strerror}). Name another folder.") from error
