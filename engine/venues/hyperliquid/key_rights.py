"""The role of the account's address, as the venue states it. The address of an API wallet would have empty lists."""

import msgspec

from engine.requests import Transport, Unsigned
from engine.venues.optional_parts import KeyRights
from engine.venues.venue import Network

ACCOUNTS = frozenset({"user", "subAccount", "vault"})


class _Role(msgspec.Struct, frozen=True):
    role: str


class AccountRole:
    """An engine.venues.venue.KeyRightsReader: it finds the wrong address, which no other query does."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the role of the account's address."""
        del network
        return Unsigned(Transport.REST, "POST", "/info", (("type", "userRole"),), signed=True, weight=60)

    def read(self, payload: bytes) -> KeyRights:
        """Return the rights of an API wallet, which trades and never withdraws. Raises ValueError."""
        role = msgspec.json.decode(payload, type=_Role).role
        if role == "agent":
            raise ValueError("the API key is the address of an API wallet: state that of the account that approved it")
        if role not in ACCOUNTS:
            raise ValueError(f"the venue knows no account at the API key's address (its role is {role[:40]!r})")
        return KeyRights(reads=True, trades=True, withdraws=False, is_ip_bound=False)
