"""The control database: runs, attempts and their logs. Never holds data or watermarks: those live in the targets."""
