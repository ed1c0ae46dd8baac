"""Changes of a PostgreSQL table as a stream: its rows first, then what logical replication (pgoutput) tells.

- `followed`: the table, its key and its columns, and what of it is refused.
- `slot`: the slot and the publication of a stream, made, looked at and dropped.
- `place`: how far a stream has come, as positions.
- `snapshot`: the rows that were there before.
- `overlap`: which changes the snapshot has already.
- `wire`, `feed`: the protocol, and a thread that reads it and keeps the connection alive.
- `tuples`, `values`, `changes`: a batch of messages as Arrow columns.
- `stream`: all of it as a StreamSource.
"""
