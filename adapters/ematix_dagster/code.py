"""Where the function of a job or stream is, as the catalog shows it beside the asset."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from dagster import BetaWarning, CodeReferencesMetadataValue, LocalFileCodeReference

if TYPE_CHECKING:
    from ematix_core.orchestration import CompiledJob, CompiledStream
    from ematix_dagster.source import Source


def code_reference(source: Source, job: CompiledJob | CompiledStream) -> CodeReferencesMetadataValue | None:
    """Return file and line of the function; None when no file of the project holds it."""
    if not job.file:
        return None
    path = source.place(job.file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # Dagster has no other way to say it
        found = LocalFileCodeReference(file_path=str(path), line_number=job.line, label=job.name)
        return CodeReferencesMetadataValue(code_references=[found])
