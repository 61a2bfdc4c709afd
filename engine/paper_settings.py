"""The account of a paper session, as the SESSION record states it. Values only."""

from typing import Any

import msgspec


class PaperSettings(msgspec.Struct, frozen=True):
    """The opening balances of a paper account, and the model of the venue that answers for it."""

    balances: dict[str, str]  # of its first session; a later one continues with the balances of the journal
    model: dict[str, Any]  # the fields of engine/sim/venue_model.py
