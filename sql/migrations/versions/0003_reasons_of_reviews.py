"""Why a reviewed alert is false.

A review without a reason was written before this revision, or says that the alert is right.
"""

from __future__ import annotations

from alembic import context, op
from sqlalchemy import inspect

from kakou.errors import StorageError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column where the reviews are, unless a killed run has: MySQL has no IF NOT EXISTS here."""
    if not context.config.attributes["holds"]("reviews"):
        return
    if "reason" not in {str(one["name"]) for one in inspect(op.get_bind()).get_columns("reviews")}:
        op.execute(
            "ALTER TABLE reviews ADD COLUMN reason VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL"
        )


def downgrade() -> None:
    """Refuses: what people said would be lost."""
    raise StorageError("What people said would be lost: restore a backup instead of downgrading.")
