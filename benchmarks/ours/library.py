"""The library call: `python library.py JOB` beside a pipelines.py, or `python library.py JOB MODULE`."""

from __future__ import annotations

import sys
from importlib import import_module

job, module = [*sys.argv[1:], "pipelines"][:2]
print(getattr(import_module(module), job).run())
