"""Joins of two streams: rows of each side wait in columns for those of the other, until the watermark lets them go."""
