"""The roles of addresses, as the venue states them (`userRole`): only they prove that a secret may sign for an account.

An account is read by its address, so a wrong secret is noticed nowhere else. The address of an API wallet has empty
lists.
"""

from typing import Final

import msgspec

from engine.requests import Transport, Unsigned
from engine.venues.optional_parts import KeyRights
from engine.venues.venue import Network

ROLE: Final = "userRole"
AGENT: Final = "agent"
MISSING: Final = "missing"
SUB_ACCOUNT: Final = "subAccount"
TRADED_FOR: Final = frozenset({SUB_ACCOUNT, "vault"})


class _Owner(msgspec.Struct, frozen=True):
    user: str = ""  # of an API wallet
    master: str = ""  # of a sub-account


class Role(msgspec.Struct, frozen=True):
    """The role of an address."""

    role: str
    data: _Owner | None = None

    @property
    def owner(self) -> str:
        """The account that approved an API wallet, or the master of a sub-account; "" for other roles."""
        return (self.data.user or self.data.master).lower()[:42] if self.data is not None else ""


def role_of(address: str) -> Unsigned:
    """Return the query for the role of an address. The signer names that of the key's signer for ""."""
    params = (("type", ROLE), ("user", address)) if address else (("type", ROLE),)
    return Unsigned(Transport.REST, "POST", "/info", params, signed=not address, weight=60)


def read_role(payload: bytes) -> Role:
    """Return the role that an answer states. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(payload, type=Role)


def signer_refusal(found: Role, signer: str, account: str) -> str:
    """Return why a signer with this role may not sign for an account, or ""."""
    if found.role == AGENT and signer == account:
        return "the API key is the address of an API wallet: state that of the account that approved it"
    if found.role == AGENT and found.owner != account:
        return f"the API secret is an API wallet of the account {found.owner}, not of {account}, the API key"
    if found.role == MISSING and signer == account:
        return "the venue knows no account at the API key's address"
    if found.role == MISSING:
        return f"the account approved no API wallet of this secret (its address is {signer}), or it expired"
    if found.role != AGENT and signer != account:
        return f"the API secret is the private key of another account, {signer}"
    return ""


def vault_refusal(found: Role, vault: str, account: str) -> str:
    """Return why an account cannot trade for this sub-account or vault, or ""."""
    if vault == account:
        return ""
    if found.role not in TRADED_FOR or (found.role == SUB_ACCOUNT and found.owner != account):
        return f"the API passphrase is no vault and no sub-account of the account (its role is {found.role[:40]!r})"
    return ""


class AccountRole:
    """An engine.venues.venue.KeyRightsReader. An API wallet signs trades alone; an account's own key signs anything."""

    def request(self, network: Network) -> Unsigned | None:
        """Return the query for the role of the signer's address."""
        del network
        return role_of("")

    def read(self, payload: bytes) -> KeyRights:
        """Return the rights of a signer. The venue has no lists of addresses of the network."""
        if read_role(payload).role == AGENT:
            return KeyRights(reads=True, trades=True, withdraws=False, is_ip_bound=None)
        return KeyRights(True, True, True, None, "the account's own private key", "the key of an API wallet")
