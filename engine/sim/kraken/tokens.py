"""Keys, nonces, signatures and stream tokens of the simulated Kraken. Holds the secrets of the venue's own accounts."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from engine.sim.binance.key_ring import SimKeyRights
from engine.sim.kraken.refusals import refusal

LIFE_NS: Final = 900 * 1_000_000_000  # of a token that no subscription uses
NONCE_DIGITS: Final = 20


class Tokens:
    """The keys of all accounts, and the tokens that they requested."""

    def __init__(self, keys: Mapping[str, tuple[str, str]], rights: Mapping[str, SimKeyRights]) -> None:
        self._keys = keys
        self._rights = rights
        self._nonces: dict[str, int] = {}  # API key -> the highest so far
        self._tokens: dict[str, tuple[str, int]] = {}  # token -> account, when it ends unless it is used
        self._used: set[str] = set()
        self.invalid_nonces = 0

    def check(self, path: str, headers: Mapping[str, str], nonce: str, body: bytes) -> str:
        """Return the key of a signed request, or refuse it."""
        api_key = headers.get("api-key", "")
        if api_key not in self._keys:
            raise refusal("EAPI:Invalid key")
        try:
            secret = base64.b64decode(self._keys[api_key][1], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"the secret of the account's key {api_key!r} must be base64") from None
        signed = hmac.digest(secret, path.encode() + sha256(nonce.encode() + body).digest(), "sha512")
        if not hmac.compare_digest(base64.b64encode(signed), headers.get("api-sign", "").encode()):
            raise refusal("EAPI:Invalid signature")
        is_number = nonce.isascii() and nonce.isdigit() and len(nonce) <= NONCE_DIGITS
        if not is_number or int(nonce) <= self._nonces.get(api_key, -1):
            self.invalid_nonces += 1
            raise refusal("EAPI:Invalid nonce")
        self._nonces[api_key] = int(nonce)
        return api_key

    def owner(self, api_key: str) -> str:
        """Return the account of a key."""
        return self._keys[api_key][0]

    def rights(self, api_key: str) -> SimKeyRights:
        """Return the rights of a key."""
        return self._rights.get(api_key, SimKeyRights())

    def issue(self, api_key: str, now_ns: int) -> str:
        """Return a new token for private subscriptions."""
        token = base64.b64encode(sha256(f"{api_key} {now_ns} {len(self._tokens)}".encode()).digest()).decode()
        self._tokens[token] = self.owner(api_key), now_ns + LIFE_NS
        return token

    def account(self, token: str, now_ns: int) -> str | None:
        """Return the account of a token; None if it is unknown, or ended unused."""
        account, until_ns = self._tokens.get(token, ("", 0))
        return account if account and (token in self._used or now_ns < until_ns) else None

    def note_use(self, token: str) -> None:
        """Note that a live subscription uses a token: it does not end any more."""
        self._used.add(token)
