"""The command line: `flow`."""

from __future__ import annotations

import os
import sys

from ematix_core.cli.exit_codes import INTERRUPTED


def main() -> None:
    """Run `flow` with the arguments of this process and exit with its code."""
    from ematix_core.cli.root import flow

    try:
        flow.main(prog_name="flow")
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            # A stopped job's own function may still block a thread. Everything of ours is rolled back and closed by
            # now; the interpreter's shutdown would wait for that thread, or complain about what it holds.
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(INTERRUPTED)
        raise
