"""Captures of other tools as sessions: one file a format, and one that writes what they read. Knows nothing of engine."""
