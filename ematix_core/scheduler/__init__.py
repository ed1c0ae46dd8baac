"""Runs workflows when they are due: triggers, the long-running scheduler, backfills, executors, alerts' conditions."""
