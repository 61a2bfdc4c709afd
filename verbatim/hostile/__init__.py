"""Hostile sessions: a seeded simulator of what can go wrong. `verbatim.testing` exports it."""
