"""The links from a task to the page of its run, or its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class EmatixRunLink(BaseOperatorLink):
    """Leads to the run in ematix's own pages, when the `ematix` connection says where these are (`web_url`)."""

    name = "ematix run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - inherited signature
        """Return the address; empty for none. Airflow calls this in the task's own process when the task is over."""
        return str(getattr(operator, "run_url", ""))


class EmatixStreamLink(BaseOperatorLink):
    """Leads to the stream in ematix's own pages, as EmatixRunLink does to a run."""

    name = "ematix stream"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - inherited signature
        """Return the address; empty for none."""
        return str(getattr(operator, "stream_url", ""))
