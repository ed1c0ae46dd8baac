"""The check that a scheduler is still the one at work, in the transaction of what it writes."""

from __future__ import annotations

import sqlalchemy as sa

from ematix_core.errors import LeaseLostError
from ematix_core.store.records import SCHEDULER_LEASE
from ematix_core.store.tables import leases

# Writers may share the row: only who takes the lease over waits for them, and they for it. To renew it changes nothing
# that PostgreSQL calls a key, so a holder who writes a lot is not kept from that; elsewhere they stand in line.
# https://www.postgresql.org/docs/15/explicit-locking.html#LOCKING-ROWS
_TOKEN = sa.select(leases.c.token).where(leases.c.name == SCHEDULER_LEASE).with_for_update(read=True, key_share=True)


def check(connection: sa.Connection, token: int | None) -> None:
    """Hold the scheduler's lease as it is until the transaction ends. Raises LeaseLostError if its token is another.

    Nothing is checked for what no scheduler writes: `token` is None.
    """
    if token is None:
        return
    held = connection.execute(_TOKEN).scalar()
    if held != token:
        raise LeaseLostError(
            f"this scheduler's lease (token {token}) is another's by now"
            + (f" (token {held})" if held is not None else ""),
            hint="Nothing was recorded. The scheduler at work carries on what this one had begun.",
        )


def is_older(token: int | None, than: int | None) -> bool:
    """Say whether a record's token is of a scheduler that was at work before the one with `than`."""
    return token is not None and than is not None and token < than
