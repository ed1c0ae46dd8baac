"""The history of the store's tables, as alembic revisions. `ematix_core.store.database` applies them."""
