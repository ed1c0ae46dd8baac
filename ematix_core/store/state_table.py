"""The state of streams in a table of a PostgreSQL database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import insert

from ematix_core.errors import ConnectError, MissingDriverError, RunError
from ematix_core.store import servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TABLE = "ematix_stream_state"


class StateTable:
    """Implements `Place` of `streaming.state.places` with a row each of a table, which is made when it is missing."""

    def __init__(self, url: str, scope: str) -> None:
        given = sa.make_url(url)
        self.shown = f"table {TABLE} of {given.render_as_string(hide_password=True)}"
        self._scope = scope
        made = servers.with_driver(given)
        try:
            self._engine = sa.create_engine(made, pool_pre_ping=True)
        except ImportError as error:
            raise MissingDriverError("psycopg", "postgres", "postgres") from error
        self._table = sa.Table(
            TABLE, sa.MetaData(), sa.Column("scope", sa.Text, primary_key=True),
            sa.Column("name", sa.Text, primary_key=True), sa.Column("content", sa.LargeBinary, nullable=False),
        )  # fmt: skip
        with self._transaction() as connection:
            self._table.create(connection, checkfirst=True)

    def names(self) -> list[str]:
        mine = sa.select(self._table.c.name).where(self._table.c.scope == self._scope)
        with self._transaction() as connection:
            return sorted(connection.scalars(mine))

    def read(self, name: str) -> bytes | None:
        where = self._table.c.scope == self._scope, self._table.c.name == name
        with self._transaction() as connection:
            found = connection.scalar(sa.select(self._table.c.content).where(*where))
        return None if found is None else bytes(found)

    def write(self, name: str, content: bytes) -> None:
        new = insert(self._table).values(scope=self._scope, name=name, content=content)
        with self._transaction() as connection:
            connection.execute(new.on_conflict_do_update(index_elements=["scope", "name"], set_={"content": content}))

    def remove(self, names: Iterable[str]) -> None:
        mine = sa.delete(self._table).where(self._table.c.scope == self._scope, self._table.c.name.in_(list(names)))
        with self._transaction() as connection:
            connection.execute(mine)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except exc.OperationalError as error:
            raise ConnectError(f"the state cannot be reached: {error.orig}", where=self.shown) from error
        except exc.SQLAlchemyError as error:
            raise RunError(f"the state cannot be kept: {getattr(error, 'orig', error)}", where=self.shown) from error
