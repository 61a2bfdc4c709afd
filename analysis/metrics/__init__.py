"""Metrics of a session: their table, the fold of records into them, and a reader that follows a session."""
