"""Load strategies: pure functions from what changes and what the system can do to a plan of steps."""
