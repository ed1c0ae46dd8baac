"""Where files lie, for the kinds that keep files: a local folder, or a prefix of an object store.

- `folder`: what such a place offers (`Folder`), and a file in it (`StoredFile`).
- `local`, `remote`: the two implementations.
- `access`: the options of a connection that say how to reach an object store.
- `mounted`: the way in which DuckDB and Arrow open the files of an object store.
- `paths`: safe paths below a connection, and errors of the operating system in our words.
"""
