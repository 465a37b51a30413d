"""Places and distances on the earth, for gates that have no learned travel time yet."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

EARTH_RADIUS_KM: Final = 6371.0088  # mean radius, IUGG
# The country's mainland with some room: 73.5–135.1° E, 3.8–53.6° N.
LON_RANGE: Final = (73.0, 136.0)
LAT_RANGE: Final = (3.0, 54.0)


def in_country(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether points given in degrees can lie in the country; False where a degree is NaN.

    >>> in_country([117.2, 34.3, 0.0], [34.3, 117.2, 0.0]).tolist()
    [True, False, False]
    """
    east, north = np.asarray(lon, float), np.asarray(lat, float)
    inside: npt.NDArray[np.bool_] = (
        (east >= LON_RANGE[0]) & (east <= LON_RANGE[1]) & (north >= LAT_RANGE[0]) & (north <= LAT_RANGE[1])
    )
    return inside


def great_circle_km(
    lon1: npt.ArrayLike, lat1: npt.ArrayLike, lon2: npt.ArrayLike, lat2: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Great-circle distance in kilometres between points given in degrees (haversine formula).

    Arrays are matched as numpy does: a column against a row gives all pairs. NaN stays NaN.

    >>> round(float(great_circle_km(117.2, 34.3, 117.2, 35.3)), 1)
    111.2
    """
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_phi, half_lam = (phi2 - phi1) / 2, (np.radians(lon2) - np.radians(lon1)) / 2
    h = np.sin(half_phi) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_lam) ** 2
    # Rounding may put antipodes a hair above 1.
    distance: npt.NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))
    return distance
