"""Edge: what reviews say tonight of how reasons are to be weighed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from kakou.alert import CLONED
from kakou.detection.calibration import Reviewed, calibrate, weight_sum
from kakou.detection.knowledge_bytes import from_bytes
from kakou.detection.precision import precision_of
from kakou.detection.reviews import ReviewedCase
from kakou.detection.weighing import USUAL, Calibration
from kakou.errors import KakouError
from kakou.settings import Settings
from sql.reviews import all_reviewed, bodies_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TonightsReviews:
    """What reviews say.

    Attributes:
        calibration: how reasons are to be weighed; None as long as no review weighs.
        reviews: reviewed cases; None where nobody could be asked.
        weighed: those of them with weights, by which ``calibration`` was made; None as above.
        precision: share of confirmed ones among the reviewed cloned plates; None where there are none.
    """

    calibration: Calibration | None
    reviews: int | None = None
    weighed: int | None = None
    precision: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What is known, under its name in MLflow."""
        by = self.calibration
        found = {
            "reviews": self.reviews,
            "reviews_weighed": self.weighed,
            "precision_reviewed": self.precision,
            "calibration_prior": by.prior if by else None,
            "calibration_trust": by.trust if by else None,
        }
        return {name: float(value) for name, value in found.items() if value is not None}


def tonights_reviews(settings: Settings) -> TonightsReviews:
    """Asks for the reviews and calibrates by them; where they are away, what was learned last holds."""
    try:
        cases = all_reviewed(settings)
        return said_by(cases, bodies_of(settings, [one.last.alert_id for one in cases]))
    except KakouError as error:
        kept = _learned_last(settings)
        log.warning("no reviews tonight: reasons are weighed as the night before", why=str(error), kept=kept)
        return TonightsReviews(kept)


def said_by(cases: Sequence[ReviewedCase], bodies: Mapping[str, str]) -> TonightsReviews:
    """What these reviews say. A case counts once, with what it says in the end.

    Two vehicles of one owner are no clone and yet two vehicles, as the weights said: such a review does not
    move them.

    Args:
        bodies: JSON of the newest alert of each case, by its id.
    """
    weighed = [
        Reviewed(found, one.confirmed)
        for one in cases
        if one.review.review.reason != "same_owner"
        and (body := bodies.get(one.last.alert_id)) is not None
        and (found := weight_sum(json.loads(body))) is not None
    ]
    precision = precision_of(one.confirmed for one in cases if one.last.verdict == CLONED)
    # A rule that names its own weights is not moved, so what is moved is always the usual one.
    return TonightsReviews(calibrate(weighed, USUAL), len(cases), len(weighed), precision.share)


def _learned_last(settings: Settings) -> Calibration | None:
    try:
        return from_bytes(settings.knowledge_file.read_bytes()).reviewed
    except (OSError, KakouError):
        return None
