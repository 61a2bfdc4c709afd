"""Compare sessions and strategy versions: regress, diff, fidelity, lookahead, minimize."""
