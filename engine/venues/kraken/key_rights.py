"""The rights of an API key, as Kraken states them (POST /0/private/GetApiKeyInfo)."""

import msgspec

from engine.requests import Transport, Unsigned
from engine.venues.optional_parts import KeyRights
from engine.venues.venue import Network

READS = frozenset({"query-funds", "query-open-trades", "query-closed-trades"})
TRADES = frozenset({"modify-trades", "close-trades"})


class _Info(msgspec.Struct):
    permissions: list[str]
    ip_allowlist: list[str] = []


class _Body(msgspec.Struct):
    result: _Info


class KrakenKeyRights:
    """An engine.venues.venue.KeyRightsReader."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the rights, which every network states."""
        del network
        return Unsigned(Transport.REST, "POST", "/0/private/GetApiKeyInfo", (), signed=True)

    def read(self, payload: bytes) -> KeyRights:
        """Return what the answer states. Raises msgspec.MsgspecError, a ValueError, for any other bytes."""
        info = msgspec.json.decode(payload, type=_Body).result
        granted = frozenset(info.permissions)
        return KeyRights(
            reads=granted >= READS,
            trades=granted >= TRADES,
            withdraws="withdraw-funds" in granted,
            is_ip_bound=any(info.ip_allowlist),
        )
