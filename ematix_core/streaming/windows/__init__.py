"""Windows over streams: partial aggregates of each micro-batch are kept in columns, and combined when they close."""
