"""The rights of an API key, as Binance states them (GET /sapi/v1/account/apiRestrictions).

`canTrade` and `canWithdraw` of GET account concern the account, and not the key.
"""

import msgspec

from engine.requests import Transport, Unsigned
from engine.venues.optional_parts import KeyRights
from engine.venues.venue import Network


class _Restrictions(msgspec.Struct, frozen=True, rename="camel"):
    enable_reading: bool
    enable_withdrawals: bool
    enable_spot_and_margin_trading: bool
    ip_restrict: bool


class BinanceKeyRights:
    """An engine.venues.venue.KeyRightsReader."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the rights; the testnet has no /sapi."""
        if network is Network.TESTNET:
            return None
        return Unsigned(Transport.REST, "GET", "/sapi/v1/account/apiRestrictions", (), signed=True, weight=1)

    def read(self, payload: bytes) -> KeyRights:
        """Return what the answer states. Raises msgspec.MsgspecError, a ValueError, for any other bytes."""
        stated = msgspec.json.decode(payload, type=_Restrictions)
        return KeyRights(
            reads=stated.enable_reading,
            trades=stated.enable_spot_and_margin_trading,
            withdraws=stated.enable_withdrawals,
            is_ip_bound=stated.ip_restrict,
        )
