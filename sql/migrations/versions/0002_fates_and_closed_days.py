"""What became of refused records, and which days the nodes have forgotten.

``rejected_records`` is the fate of each refused record, written in the transaction of its batch on the first
node; the bytes lie in the rejected topic until somebody settles them. ``closed_days`` names the days whose
passes were deleted after archiving: their roll-ups are counted from the archive and by nobody else.
"""

from __future__ import annotations

from alembic import op

from kakou.errors import StorageError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TAIL = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
TABLES = {
    "rejected_records": """
        kafka_partition INT NOT NULL,
        kafka_offset BIGINT NOT NULL,
        reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        batch_id BIGINT NOT NULL,
        rejected_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        settled VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NULL,
        settled_at DATETIME(3) NULL,
        settled_partition INT NULL,
        settled_offset BIGINT NULL,
        PRIMARY KEY (kafka_partition, kafka_offset)""",
    "closed_days": """
        day DATE NOT NULL,
        closed_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        PRIMARY KEY (day)""",
}


def upgrade() -> None:
    """Creates both on every node: neither is a table of the endpoint."""
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) {TAIL}")


def downgrade() -> None:
    """Refuses: the fates of records would be lost."""
    raise StorageError("The fates of records would be lost: restore a backup instead of downgrading.")
