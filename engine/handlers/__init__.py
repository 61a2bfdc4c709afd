"""Decide what follows from an input, one file a subject. Everything decided is emitted as an output."""
