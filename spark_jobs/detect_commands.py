"""``kakou detect`` with the commands that need the stores; those that need none are ``kakou.detection``'s."""

from __future__ import annotations

from kakou.detection.commands import detect
from spark_jobs import review_commands

__all__ = ["detect"]

detect.command()(review_commands.review)
detect.command()(review_commands.reviews)
