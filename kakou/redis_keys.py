"""Every key that Kakou keeps in Redis: its name, its shape, who writes it and who reads it.

``traffic:warnings`` is a contract with others; all the rest lies under ``kakou:``. Redis is never the truth:
what is lost here is written again from the nodes, or counted anew.
"""

from __future__ import annotations

from typing import Final

WARNINGS: Final = "traffic:warnings"
"""List of alert JSON, newest first, the newest ``WARNINGS_KEPT``; ``cloned_plate`` only. Written by the
stream after table ``warnings``; read by the API and by others."""
WARNINGS_KEPT: Final = 1_000

ALERT_PREFIX: Final = "kakou:alert:"
"""``kakou:alert:<alert_id>`` = 1: this alert was pushed; keeps a repeated batch from pushing it
again. Expires after ``ALERT_TTL_S``, longer than Kafka keeps the passes that could raise it again."""
ALERT_TTL_S: Final = 7 * 86_400

WARNINGS_FILLED: Final = "kakou:warnings:filled"
"""Text 1, written when the list was filled from the table. A Redis without it has lost what it held, and the
stream fills the list again."""

STREAM_PROGRESS: Final = "kakou:stream:progress"
"""Hash, written by the stream after each ingest batch: ``query`` and ``batch`` (last one counted),
``stored``, ``duplicates``, ``rejected`` (totals of this query), ``offsets`` (JSON: partition to the next
offset to read), ``at`` (time with offset), ``seconds`` (what the last batch took)."""

STREAM_QUERY_PREFIX: Final = "kakou:stream:query:"
"""``kakou:stream:query:ingest`` and ``…:detection``: hash, written by the stream after each batch from
Spark's own events: ``batch``, ``records`` and ``seconds`` of the last batch, ``offsets`` (JSON: partition to
the next offset to read), ``lag`` (records of the topic not yet read), ``lag_by_partition`` (JSON),
``handled_per_second`` (while it works), ``arriving_per_second``, ``catch_up_seconds`` (empty while the
backlog does not shrink), ``at``."""

DETECTION_COUNTS: Final = "kakou:detection:counts"
"""Hash, written by the stream after each detection batch: ``query`` and ``batch`` (last one counted), totals
of this query ``passes``, ``withheld``, ``late``, ``future``, ``duplicates``, ``crowded``,
``contradictions``, ``alerts``, and ``at``."""

FLOW_STATUS: Final = "kakou:flow:status"
"""Text, written by the flow training: JSON that says which model is published, or why none is."""
