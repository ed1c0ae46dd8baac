"""The command line: `flow`."""

from __future__ import annotations


def main() -> None:
    """Run `flow` with the arguments of this process and exit with its code."""
    from ematix_core.cli.root import flow

    flow.main(prog_name="flow")
