"""The library call: `python library.py JOB` beside a pipelines.py."""

from __future__ import annotations

import sys

import pipelines  # type: ignore[import-not-found]  # copied beside this file

print(getattr(pipelines, sys.argv[1]).run())
