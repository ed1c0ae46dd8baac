"""Opening connections and transactions with the settings that reading and writing rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.backends.postgres.link import Link
from ematix_core.errors import ConfigError, EmatixError, SqlError

if TYPE_CHECKING:
    from ematix_core.backends.postgres.address import Address

# Text that comes and goes has one form, whatever the server's or the user's own settings are. SET LOCAL, because a
# pooler may hand the connection to somebody else after the transaction.
_FORMS = (
    "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC';"
    " SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = 'hex'; SET LOCAL client_min_messages = 'warning';"
    " SET LOCAL standard_conforming_strings = on; SET LOCAL quote_all_identifiers = off;"
    " SET LOCAL xmloption = 'content'"
)


def opened(address: Address) -> Link:
    """Return a connection, with the user's settings tried. Raises ConnectError, ConfigError, AccessError."""
    link = Link(address)
    try:
        if address.settings:
            link.execute("BEGIN")
            _apply(link)
            link.execute("ROLLBACK")
    except BaseException:
        link.close()
        raise
    return link


def begin_reading(link: Link, snapshot: str = "") -> None:
    """Begin a transaction that sees one state of the database and cannot change it; one that is open ends.

    `snapshot`: the state that another transaction has exported.
    """
    same = f"SET TRANSACTION SNAPSHOT '{snapshot}'; " if snapshot else ""
    link.execute(f"ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {same}{_FORMS}")
    _apply(link)


def begin_writing(link: Link, settings: str) -> None:
    """Begin a transaction that sees what others commit meanwhile, so that it does once it has their lock."""
    link.execute(f"BEGIN ISOLATION LEVEL READ COMMITTED; {_FORMS}; {settings}")
    _apply(link)


def _apply(link: Link) -> None:
    for name, value in link.address.settings.items():
        try:
            link.rows("SELECT set_config($1, $2, true)", name, value)
        except EmatixError as error:
            if not isinstance(error, SqlError):
                raise ConfigError(error.what, where=f"option {name}, {link.address}", hint=error.hint) from error
            raise ConfigError(error.what, where=f"option {name}, {link.address}") from error
