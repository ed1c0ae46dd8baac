"""Systems: one file each, with a capability record and what the system does its own way."""
