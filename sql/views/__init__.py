"""Read-only views for downstream applications.

The same text runs on every node and at the local endpoint. On the nodes a view sees that node's share of the
passes and its whole copy of ``kkmc_info``, so a real MyCat can serve ``v_passes`` as a sharded table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def create_views(cursor: Any) -> list[str]:
    """Creates or renews every view whose tables exist in the cursor's database; returns their names."""
    cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
    tables = {row[0] for row in cursor.fetchall()}
    made = []
    for path in sorted(FOLDER.glob("*.sql")):
        needs, _, body = path.read_text(encoding="utf-8").partition("\n")
        if set(needs.removeprefix("-- needs:").replace(",", " ").split()) <= tables:
            cursor.execute(f"CREATE OR REPLACE SQL SECURITY INVOKER VIEW {path.stem} AS {body}")
            made.append(path.stem)
    return made
