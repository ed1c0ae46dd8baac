"""The assets of ematix: `ematix://workflow/<name>`, `ematix://job/<name>`, `ematix://<connection>/<table>`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.sdk import Asset

EXAMPLES = "Write ematix://workflow/nightly, ematix://job/orders or ematix://warehouse/analytics.orders."


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI as it is; Airflow calls this for each `ematix://` asset. Raises ValueError for none of ours."""
    name = uri.path.strip("/")
    if not uri.netloc or not name or "/" in name or uri.query:
        raise ValueError(f"{uri.geturl()!r} is no asset of ematix. {EXAMPLES}")
    return uri._replace(path=f"/{name}")


def create_asset(*, kind: str, name: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return an asset of ematix: `kind` is `workflow`, `job`, or for a table the name of its connection."""
    from airflow.sdk import Asset

    return Asset(uri=f"ematix://{kind}/{name}", extra=extra)
