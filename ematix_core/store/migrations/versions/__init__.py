"""One file a revision, numbered; add the number to `REVISIONS` in `ematix_core.store.database`."""
