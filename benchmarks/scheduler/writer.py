"""A process that records successes: `python -m benchmarks.scheduler.writer STORE`, a job's name per line."""

from __future__ import annotations

import sys

from benchmarks.scheduler.site import succeed
from ematix_core.store import open_store


def main() -> None:
    """Answer each line when its success is recorded; the first answer says that it is ready."""
    with open_store(sys.argv[1]) as store:
        print("ready", flush=True)
        for line in sys.stdin:
            succeed(store, line.strip())
            print("done", flush=True)


if __name__ == "__main__":
    main()
