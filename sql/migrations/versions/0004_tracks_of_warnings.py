"""The passes that a warning was given on, for its page of evidence.

Beside ``warnings`` and not in it: screens and apps read warnings over and over, and tracks once in a while.
"""

from __future__ import annotations

from alembic import context, op

from kakou.errors import StorageError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = """
    CREATE TABLE IF NOT EXISTS warning_tracks (
        alert_id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        body LONGTEXT NOT NULL,
        PRIMARY KEY (alert_id)
    ) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"""


def upgrade() -> None:
    """Creates it where ``warnings`` is, as both are written in one transaction."""
    if context.config.attributes["holds"]("warnings"):
        op.execute(TABLE)


def downgrade() -> None:
    """Refuses: evidence would be lost."""
    raise StorageError("Evidence would be lost: restore a backup instead of downgrading.")
