"""What single fields of a read say, and the step of a confidence."""

from __future__ import annotations

from typing import Final

from kakou.alert import Severity
from kakou.fields import MISSING

BRAND_MARK: Final = "牌"
_SEVERITIES: Final[tuple[tuple[float, Severity], ...]] = (
    (0.97, "critical"),
    (0.92, "high"),
    (0.80, "medium"),
    (0.0, "low"),
)


def brand_of(text: str) -> str | None:
    """The maker in a brand-and-model text, or None where it is unknown.

    >>> brand_of("大众牌SVW7183"), brand_of("大众牌"), brand_of("-")
    ('大众', '大众', None)
    """
    maker = text.strip().partition(BRAND_MARK)[0].strip()
    return value_of(maker)


def value_of(text: str | None) -> str | None:
    """A field as it was read, or None where nothing was.

    >>> value_of("02"), value_of("-"), value_of("")
    ('02', None, None)
    """
    return None if text in (None, "", MISSING) else text


def severity_of(confidence: float) -> Severity:
    """Step of the confidence.

    >>> severity_of(0.99), severity_of(0.93), severity_of(0.85), severity_of(0.7)
    ('critical', 'high', 'medium', 'low')
    """
    return next(name for least, name in _SEVERITIES if confidence >= least)
