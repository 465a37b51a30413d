"""Distances on the earth, for gates that have no learned travel time yet."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

EARTH_RADIUS_KM: Final = 6371.0088  # mean radius, IUGG


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
