"""Hostile sessions: a simulator of faults, drawn by seed. `verbatim.testing` exports it."""
