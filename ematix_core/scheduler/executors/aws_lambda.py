"""An AWS Lambda function: the task is its event, and what it returns is the ending."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ematix_core.scheduler.executors.options import missing
from ematix_core.scheduler.protocols import Ending

if TYPE_CHECKING:
    from ematix_core.scheduler.protocols import Task

_LONGEST = 960
"""Seconds to wait for an answer: a function runs for 900 at most.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html"""
_BUSY = frozenset(
    {"EC2ThrottledException", "ResourceNotReadyException", "ServiceException", "TooManyRequestsException"}
)
"""https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors"""
_PATIENCE = 60.0
"""Seconds to go on trying while the function has no room or cannot be reached."""


class LambdaFunction:
    """Implements `Function`. `name`: with a version or alias after a colon if need be; or an ARN."""

    def __init__(self, name: str, *, region: str = "") -> None:
        """Find the credentials as boto3 does. Raises MissingDriverError."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError as error:
            raise missing("lambda", "boto3", "aws") from error
        # boto3's own retries would invoke a second time when an answer is late.
        config = Config(read_timeout=_LONGEST, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        self._client = boto3.client("lambda", region_name=region or None, config=config)
        self._name = name

    def call(self, task: Task, key: str) -> Ending | None:  # noqa: ARG002 - Lambda knows no such keys
        """Invoke the function. An answer that is lost on the way says nothing about the run: then the store does."""
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

        retrying = Retrying(
            stop=stop_after_delay(_PATIENCE), wait=wait_exponential(0.5, max=10), reraise=True,
            retry=retry_if_exception(_is_before_the_task),
        )  # fmt: skip
        try:
            answer = retrying(
                self._client.invoke,
                FunctionName=self._name, InvocationType="RequestResponse", Payload=json.dumps(task.to_dict()).encode(),
            )  # fmt: skip
            return _ending(answer["Payload"].read(), failed="FunctionError" in answer)
        except (ReadTimeoutError, ConnectionClosedError):
            return None
        except (BotoCoreError, ClientError) as error:
            return Ending(None, f"the function was not called: {error}")


def _ending(payload: bytes, *, failed: bool) -> Ending:
    try:
        data = json.loads(payload)
        if failed:  # it raised, ran out of memory or of time: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
            return Ending(None, f"the function ended without a result: {data['errorMessage']}")
        return Ending.from_dict(data)
    except (ValueError, KeyError, TypeError):
        return Ending(None, f"the function answered with no ending: {payload[:200].decode(errors='replace')}")


def _is_before_the_task(error: BaseException) -> bool:
    from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code") in _BUSY
    return isinstance(error, EndpointConnectionError | ConnectTimeoutError)
