"""Strategies: the API they are written against, how they are loaded, and how they are run."""
