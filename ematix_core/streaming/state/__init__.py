"""State of streams: kept beside the positions, as entries that lead to it, and restored from them."""
