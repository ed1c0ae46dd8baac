"""The exit codes of `flow`, as its help documents them."""

from __future__ import annotations

OK = 0
FAILED = 1
"""A job or a check failed, or a system could not be reached."""
USAGE = 2
"""The command line, a setting or a declaration is wrong; click's own code for the first."""
INTERRUPTED = 130
"""Ctrl-C or SIGTERM; what was not committed is rolled back."""
