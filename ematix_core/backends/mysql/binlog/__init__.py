"""The changes of a MySQL or MariaDB table, read from the server's binary log as a replica would."""
