"""Frozen declarations and their checks. No I/O: what a declaration means is decided here, what it does in `engine`."""
