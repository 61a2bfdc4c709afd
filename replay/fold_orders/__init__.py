"""A strategy with its orders in the fold, for research, and its comparison with the ordinary way."""
