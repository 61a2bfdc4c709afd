"""Decide what follows from an input that was applied, one file a subject."""
