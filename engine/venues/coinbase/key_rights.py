"""The rights of an API key, as Coinbase states them (GET /key_permissions). A key belongs to one portfolio."""

import msgspec

from engine.requests import Transport, Unsigned
from engine.venues.coinbase.calls import PREFIX
from engine.venues.optional_parts import KeyRights
from engine.venues.venue import Network

PATH = f"{PREFIX}/key_permissions"


class _Permissions(msgspec.Struct):
    can_view: bool
    can_trade: bool
    can_transfer: bool


class CoinbaseKeyRights:
    """An engine.venues.venue.KeyRightsReader."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the rights; the sandbox has no keys."""
        if network is Network.TESTNET:
            return None
        return Unsigned(Transport.REST, "GET", PATH, (), signed=True)

    def read(self, payload: bytes) -> KeyRights:
        """Return what the answer states. Raises msgspec.MsgspecError, a ValueError, for any other bytes."""
        stated = msgspec.json.decode(payload, type=_Permissions)
        return KeyRights(stated.can_view, stated.can_trade, stated.can_transfer, is_ip_bound=None)
