"""What alembic runs to apply revisions, on the connection and in the transaction that the store gives it."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Apply the revisions that were asked for."""
    attributes = context.config.attributes
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    with context.begin_transaction():
        context.run_migrations()


# Alembic executes this file under this name. Imported as a module, it does nothing.
if __name__ == "env_py":
    run()
