"""One file a revision, numbered; add the number to `REVISIONS` in `ematix_core.store.database`.

A revision can be applied again after it was killed half-way: MySQL commits each change of a table by itself.
"""
