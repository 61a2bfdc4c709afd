"""Errors of the engine's core. VenueErrors do not exist: what a venue does wrong is an event, and is in the journal."""


class CoreError(Exception):
    """The core failed on a record: our mistake. The session must HALT; the text names the record."""
