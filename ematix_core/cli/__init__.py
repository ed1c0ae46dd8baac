"""The command line: `flow`."""

from __future__ import annotations

from ematix_core.cli.process import collect_later, leave, open_files


def main() -> None:
    """Run `flow` with the arguments of this process and end the process with its code."""
    collect_later()
    inherited = open_files()
    from ematix_core.cli.root import flow

    try:
        flow.main(prog_name="flow")
    except SystemExit as leaving:
        if isinstance(leaving.code, int):
            leave(leaving.code, inherited)
        raise
