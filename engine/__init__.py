"""Records in, outputs out: the trading engine. Everything but `engine.live` is pure."""
