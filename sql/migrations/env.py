"""Alembic's entry. ``sql.migrate`` hands in the connection and what the node holds; there is no ini file."""

from __future__ import annotations

from alembic import context


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


_run()
