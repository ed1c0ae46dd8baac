"""How an error of ematix becomes one of Airflow's: whether a further try makes sense is ours to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ematix_core.errors import RunError, StoreError, Transient, UnknownConnectionError, is_transient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ematix_core.errors import EmatixError


class StoppedError(RunError, Transient):
    """Airflow stopped the attempt for a reason after which it tries again, such as `execution_timeout`."""


def airflow_error(error: EmatixError, *, again: bool = False, missing: Sequence[str] = ()) -> Exception:
    """Return what to raise from the error's cause: AirflowException, or AirflowFailException, which is not tried again.

    Airflow tries again after what may go away by itself, and after trouble with the store; `again`: after anything.
    `missing`: the connections that Airflow was asked for and does not have.
    """
    from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

    if missing and isinstance(error, UnknownConnectionError):
        error.hint += f"\nAirflow was asked, too: it has no connection {', '.join(map(repr, missing))}."
    retried = again or is_transient(error) or isinstance(error, StoreError)
    return (AirflowException if retried else AirflowFailException)(str(error))
