"""First tables: passes, hourly roll-up, gates, ledger; on dn1 also warnings, forecast, reviews, users, audit.

Valid on MySQL 5.7 and MariaDB 10.11. DDL commits by itself there, so every statement survives a rerun.
"""

from __future__ import annotations

from alembic import context, op

from kakou.errors import StorageError
from kakou.fields import FIELDS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types come from the one list of fields; which columns this revision makes is fixed here.
TYPE = {field.name: field.sql for field in FIELDS}
CODE = "VARCHAR({n}) CHARACTER SET ascii COLLATE ascii_bin"
PASS_COLUMNS = (
    "GCXH", "KKMC", "FXLX", "GCSJ", "HPZL", "HPHM", "CLPPXH", "XZQHMC", "PROVINCE", "IS_WEEKEND",
    "IS_PEAK_HOUR", "VEHICLE_TYPE_NAME",
)  # fmt: skip
TAIL = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"


def _pass_columns() -> str:
    """The 12 fields as columns; GCXH is called ``id``."""
    names = {"GCXH": "id"}
    return ",\n".join(f"{names.get(name, name.lower())} {TYPE[name]} NOT NULL" for name in PASS_COLUMNS)


TABLES = {
    "traffic_data": f"""
        {_pass_columns()},
        kafka_partition INT NULL,
        kafka_offset BIGINT NULL,
        batch_id BIGINT NULL,
        PRIMARY KEY (id),
        KEY idx_gcsj (gcsj),
        KEY idx_hphm_gcsj (hphm, gcsj),
        KEY idx_kkmc_gcsj (kkmc, gcsj)""",
    "flow_hourly": f"""
        kkmc {TYPE["KKMC"]} NOT NULL,
        day DATE NOT NULL,
        hour TINYINT NOT NULL,
        province {TYPE["PROVINCE"]} NOT NULL,
        vehicle_type_name {TYPE["VEHICLE_TYPE_NAME"]} NOT NULL,
        n INT NOT NULL,
        PRIMARY KEY (kkmc, day, hour, province, vehicle_type_name),
        KEY idx_day_hour (day, hour)""",
    "kkmc_info": f"""
        kkmc {TYPE["KKMC"]} NOT NULL,
        name VARCHAR(200) NOT NULL,
        aliases TEXT NOT NULL,
        xzqhmc {TYPE["XZQHMC"]} NOT NULL,
        road VARCHAR(64) NOT NULL,
        stake VARCHAR(32) NOT NULL,
        boundary VARCHAR(32) NOT NULL,
        lon DOUBLE NULL,
        lat DOUBLE NULL,
        PRIMARY KEY (kkmc)""",
    "batch_ledger": f"""
        query {CODE.format(n=64)} NOT NULL,
        batch_id BIGINT NOT NULL,
        offsets_start TEXT NOT NULL,
        offsets_end TEXT NOT NULL,
        stored INT NOT NULL,
        duplicates INT NOT NULL,
        rejected INT NOT NULL,
        committed_at DATETIME(3) NOT NULL,
        PRIMARY KEY (query, batch_id)""",
    "duplicate_records": f"""
        kafka_partition INT NOT NULL,
        kafka_offset BIGINT NOT NULL,
        id {TYPE["GCXH"]} NOT NULL,
        batch_id BIGINT NOT NULL,
        reason VARCHAR(32) NOT NULL,
        PRIMARY KEY (kafka_partition, kafka_offset)""",
    "warnings": f"""
        alert_id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        case_id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        step INT NOT NULL,
        verdict VARCHAR(16) NOT NULL,
        status VARCHAR(16) NOT NULL,
        severity VARCHAR(16) NOT NULL,
        confidence DOUBLE NOT NULL,
        hphm {TYPE["HPHM"]} NOT NULL,
        first_gcxh {TYPE["GCXH"]} NOT NULL,
        second_gcxh {TYPE["GCXH"]} NOT NULL,
        first_kkmc {TYPE["KKMC"]} NOT NULL,
        second_kkmc {TYPE["KKMC"]} NOT NULL,
        first_gcsj {TYPE["GCSJ"]} NOT NULL,
        second_gcsj {TYPE["GCSJ"]} NOT NULL,
        gap_seconds INT NOT NULL,
        rule_version VARCHAR(64) NOT NULL,
        detected_at DATETIME(3) NOT NULL,
        body LONGTEXT NOT NULL,
        created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        PRIMARY KEY (alert_id),
        KEY idx_detected_at (detected_at),
        KEY idx_hphm (hphm),
        KEY idx_case_id (case_id)""",
    "flow_forecast": f"""
        kkmc {TYPE["KKMC"]} NOT NULL,
        day DATE NOT NULL,
        hour TINYINT NOT NULL,
        predicted DOUBLE NOT NULL,
        low DOUBLE NOT NULL,
        high DOUBLE NOT NULL,
        model_version VARCHAR(64) NOT NULL,
        published_at DATETIME NOT NULL,
        PRIMARY KEY (kkmc, day, hour)""",
    "reviews": """
        id BIGINT NOT NULL AUTO_INCREMENT,
        alert_id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        verdict VARCHAR(16) NOT NULL,
        note VARCHAR(500) NOT NULL,
        reviewer VARCHAR(64) NOT NULL,
        created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        PRIMARY KEY (id),
        KEY idx_alert_id (alert_id)""",
    "users": """
        id BIGINT NOT NULL AUTO_INCREMENT,
        username VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        password_hash VARCHAR(255) NOT NULL,
        role VARCHAR(16) NOT NULL,
        active TINYINT NOT NULL DEFAULT 1,
        created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        PRIMARY KEY (id),
        UNIQUE KEY uq_username (username)""",
    "audit": """
        id BIGINT NOT NULL AUTO_INCREMENT,
        at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
        actor VARCHAR(64) NOT NULL,
        action VARCHAR(64) NOT NULL,
        subject VARCHAR(255) NOT NULL,
        reason VARCHAR(255) NOT NULL,
        PRIMARY KEY (id),
        KEY idx_at (at)""",
}


def upgrade() -> None:
    """Creates what this node holds: every sharded and global table, single ones only on their own node."""
    holds = context.config.attributes["holds"]
    for table, columns in TABLES.items():
        if holds(table):
            op.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) {TAIL}")


def downgrade() -> None:
    """Refuses: below the first tables there are no passes."""
    raise StorageError("Nothing lies below the first revision: restore a backup instead of downgrading.")
