"""`python -m ematix_core` is `flow`."""

from ematix_core.cli import main

if __name__ == "__main__":
    main()
