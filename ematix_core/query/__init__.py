"""Where SQL over Arrow runs."""
