"""Settings, connection look-up, `${...}` references and the secrets behind them."""
