"""The venues and instruments of a session: what its frames need to be read. Made from the SESSION record.

Knows nothing of strategies, orders and rules: a reader of records alone does not import them.
"""

from engine.session_record import SessionBody
from engine.venues.venue import Venue
from engine.venues.venue_lookup import make_venue, venue_class


class SessionVenues:
    """The venues and instruments of a session."""

    def __init__(self, body: SessionBody) -> None:
        """Make the venues that a SESSION record names."""
        self.body = body
        self.instruments = {instrument.id: instrument for instrument in body.instruments}
        self.indexes = {name: index for index, name in enumerate(self.instruments)}
        self.venues: dict[str, Venue] = {}
        for settings in body.venues:
            name = venue_class(settings).name
            own = [instrument for instrument in body.instruments if instrument.venue == name]
            first = self.indexes[own[0].id] if own else 0
            assert own == list(body.instruments[first : first + len(own)]), f"{name}: its instruments are not together"
            self.venues[name] = make_venue(settings, own, first=first)
