"""Writing: rows as messages of a topic, a transaction a session."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from ematix_core.backends.kafka.client import driver
from ematix_core.backends.kafka.dialect import DIALECT
from ematix_core.backends.kafka.rows import Layouts
from ematix_core.backends.kafka.session import KafkaSession
from ematix_core.backends.kafka.settings import settings_of
from ematix_core.backends.kafka.transactions import Transactions
from ematix_core.codecs import Format
from ematix_core.errors import ConfigError, ConnectError
from ematix_core.failpoint import failpoint
from ematix_core.model.duration import parse_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ematix_core.codecs.registry import Registry
    from ematix_core.model.connection import Connection
    from ematix_core.model.table import Column, TableName

_NAMED = ("json", "raw")


class KafkaTarget:
    """Writes topics of one cluster. The producer is kept from session to session.

    `transactional_id` may be set before the first session; it begins as the connection's options say. A process that
    takes over a transactional id ends what its predecessor has left open, and shuts it out. Without one, each target
    has its own, and the brokers end what a dead one left after transaction_timeout.
    """

    dialect = DIALECT

    def __init__(self, connection: Connection) -> None:
        driver()
        self._settings = settings_of(connection)
        given = self._settings.target
        self.transactional_id: str = (
            given.get("transactional_id") or f"ematix.{socket.gethostname()}.{uuid4().hex[:12]}"
        )
        self._layouts = Layouts(Format(_named(given.get("format", "json"), self._settings.where)), self._key_column())
        self._seconds = parse_seconds(given.get("transaction_timeout", "5 minutes"), "transaction_timeout")
        self._transactions: Transactions | None = None
        self._session: KafkaSession | None = None

    def take_name(self, name: str, slot: int | str) -> None:
        """Write under a transactional id that the next process in this slot takes over, unless there is one given.

        So what a killed process has left open is ended at once, and does not wait for its time.
        """
        if not self._settings.target.get("transactional_id"):
            self.transactional_id = f"ematix.{name}.{socket.gethostname()}.{slot}"

    def take_scope(self, scope: str) -> None:
        """Write under a transactional id of the loads of this scope, wherever they run, unless there is one given.

        So a process that was taken for dead, and was not, is shut out by the one that does its work again.
        """
        if not self._settings.target.get("transactional_id"):
            self.transactional_id = f"ematix.{scope}"

    def take_format(self, form: Format, registry: Registry | None) -> None:
        """Write such messages from now on, whatever the connection's options say; closes the registry in the end."""
        self._layouts = Layouts(form, self._key_column(), registry)

    def take_over(self) -> None:
        """End what a process before this one with the same transactional id has left open.

        While its positions are open the group's are not told, so this comes before the question where to go on.
        """
        self._required_transactions().take_over()

    def check_columns(self, columns: Sequence[Column]) -> None:
        """Raise UnsupportedError naming a column that a message or the format has no form for."""
        self._layouts.of(columns, "of the target")

    def check_schema(self, table: TableName, columns: Sequence[Column]) -> str:
        """Ask the registry of the messages, if there is one, whether their schema may be written; changes nothing.

        Returns why it could not be asked. Raises DriftError, MissingSourceError, AccessError.
        """
        ask = getattr(self._layouts.of(columns, str(table)).encoder, "require_accepted", None)
        try:
            if ask is not None:
                ask()
        except ConnectError as error:
            return f"whether the schema may be written is known at the first load: {error}"
        return ""

    @contextmanager
    def session(self) -> Iterator[KafkaSession]:
        """Open a transaction: its messages become readable together, under read_committed, or never."""
        transactions = self._required_transactions()
        transactions.begin()
        failpoint("kafka.begin.after")
        self._session = session = KafkaSession(self._settings, transactions, self._layouts)
        try:
            yield session
            transactions.flush()
            failpoint("kafka.commit.before")
            transactions.commit()
            failpoint("kafka.commit.after")
        except BaseException:
            transactions.abort()
            raise
        finally:
            self._session = None

    @contextmanager
    def inspect(self) -> Iterator[KafkaSession]:
        """Open a session that begins nothing."""
        yield KafkaSession(self._settings, None, self._layouts)

    def interrupt(self) -> None:
        """Stop the running load."""
        if (session := self._session) is not None:
            session.stopped = True

    def exclusive(self) -> Path | None:
        """Return None: any number of processes write at once."""
        return None

    def close(self) -> None:
        """Let the producer and the registry go."""
        self._layouts.close()
        if self._transactions is not None:
            self._transactions.close()

    def _key_column(self) -> str:
        return str(self._settings.target.get("key_column", ""))

    def _required_transactions(self) -> Transactions:
        if self._transactions is None or self._transactions.transactional_id != self.transactional_id:
            self._transactions = Transactions(self._settings, self.transactional_id, self._seconds)
        return self._transactions


def _named(name: object, where: str) -> str:
    """Return the format of a connection's option: one that needs nothing but its name."""
    if name not in _NAMED:
        raise ConfigError(
            f"format={name!r} cannot be that of a whole connection", where=where,
            hint=f"Use {' or '.join(_NAMED)}, or say it of the target: ematix.target(..., format=ematix.Format(...)).",
        )  # fmt: skip
    return str(name)
