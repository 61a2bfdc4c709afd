"""Hyperliquid's requests as messages: addresses into queries, and signed actions. Only the shell calls this.

The key is the account's address, the secret the private key of an API wallet ("agent") that the account approved, or
its own; the passphrase is the address of a sub-account or vault to trade for. Needs the extra `hyperliquid`
(eth-account), which is imported when a key is loaded.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import msgspec

from engine.requests import Unsigned
from engine.venues.hyperliquid.action_hash import MAINNET, TESTNET, connection_id, signed_digest
from engine.venues.hyperliquid.calls import ACTION
from engine.venues.hyperliquid.key_rights import ROLE, read_role, role_of, signer_refusal, vault_refusal
from engine.venues.hyperliquid.values import ADDRESS, MILLISECOND_NS
from engine.venues.signing import Credentials, HttpMessage, SecretKey
from engine.venues.venue import Network

HEADERS: Final = (("Content-Type", "application/json"),)
PRIVATE_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
CURVE_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # of secp256k1
INTEGERS: Final = frozenset({"oid", "startTime", "endTime"})  # parameters that are numbers; an oid may be a cloid
EXTRA: Final = "pip install verbatim-trading[hyperliquid]"


class WalletKey(SecretKey):
    """A key that signs actions. It numbers them: nonces are milliseconds that rise, also within one millisecond.

    The venue counts nonces by signer, so one process alone may use a key (2).
    """

    __slots__ = ("_last_ns", "_nonce", "_sign", "account", "algorithm", "keccak", "signer", "source", "vault")

    def __init__(self, credentials: Credentials) -> None:
        """Take the credentials. Raises ValueError, without the secret in its text."""
        account, vault = _address(credentials.key, "API key"), credentials.passphrase
        if not PRIVATE_KEY.fullmatch(credentials.secret):
            raise ValueError("the API secret is no private key: 64 hex digits of the API wallet, copied whole")
        number = int(credentials.secret, 16)
        if not 0 < number < CURVE_ORDER:
            raise ValueError("the API secret is no private key: copy that of the API wallet again")
        try:
            wallet = import_module("eth_account").Account.from_key(number.to_bytes(32, "big"))
            keccak = import_module("eth_utils").keccak
        except ImportError:
            raise ValueError(f"signing for Hyperliquid needs the extra `hyperliquid`: {EXTRA}") from None
        self.algorithm = "secp256k1"
        self.account = account
        self.vault = _address(vault, "API passphrase") if vault else ""
        self.signer = wallet.address.lower()
        self.source = MAINNET if credentials.network in ("", Network.LIVE) else TESTNET  # as the SDK: by the network
        self.keccak = keccak
        self._sign = wallet.unsafe_sign_hash
        self._last_ns = self._nonce = 0

    @property
    def user(self) -> str:
        """The address whose account is traded and queried: never that of the API wallet."""
        return self.vault or self.account

    def nonce(self, now_ns: int) -> int:
        """Return the nonce of the message that is signed at this time."""
        if now_ns != self._last_ns:
            self._last_ns, self._nonce = now_ns, max(now_ns // MILLISECOND_NS, self._nonce + 1)
        return self._nonce

    def signed(self, action: Any, nonce: int, expires_ms: int | None) -> dict[str, Any]:
        """Return the body of a signed action."""
        digest = signed_digest(
            self.keccak, connection_id(self.keccak, action, nonce, self.vault, expires_ms), self.source
        )
        made = self._sign(digest)
        body = {"action": action, "nonce": nonce, "signature": {"r": hex(made.r), "s": hex(made.s), "v": made.v}}
        if self.vault:
            body["vaultAddress"] = self.vault
        if expires_ms is not None:
            body["expiresAfter"] = expires_ms
        return body


class WalletSigner:
    """An engine.venues.venue.RequestSigner."""

    reads_are_public = True

    def __init__(self, recv_window_ms: int) -> None:
        """Take the time for which an action is valid: the venue refuses it later."""
        self._recv_window_ms = recv_window_ms

    def load_key(self, credentials: Credentials) -> WalletKey:
        """Return a key. Raises ValueError if the credentials cannot be used or the extra is not installed."""
        return WalletKey(credentials)

    def proofs(self, key: WalletKey) -> tuple[Unsigned, ...]:
        """Return the queries for the roles of the signer and of the sub-account or vault."""
        return tuple(role_of(address) for address in (key.signer, key.vault) if address)

    def refusal(self, key: WalletKey, answers: Sequence[bytes]) -> str:
        """Return why the roles show that the key may not sign for its account, or ""."""
        try:
            signer, *vaults = map(read_role, answers)
        except msgspec.MsgspecError:
            return "the venue states no role of the API wallet: try again later"
        refusals = (vault_refusal(each, key.vault, key.account) for each in vaults)
        return next(filter(None, (signer_refusal(signer, key.signer, key.account), *refusals)), "")

    def sign_http(self, unsigned: Unsigned, key: WalletKey | None, now_ns: int) -> HttpMessage:
        """Return the POST of a query or of a signed action."""
        if unsigned.path != "/exchange":
            return HttpMessage(unsigned.method, unsigned.path, HEADERS, _encode(_query(unsigned, key)))
        assert key is not None, "an action must be signed, and there is no key"
        action = msgspec.json.decode(dict(unsigned.params)[ACTION])
        nonce = key.nonce(now_ns)
        body = key.signed(action, nonce, nonce + self._recv_window_ms)
        return HttpMessage(unsigned.method, unsigned.path, HEADERS, _encode(body))

    def sign_frame(self, unsigned: Unsigned, key: WalletKey | None, now_ns: int, request_id: str) -> bytes:
        """Return a subscription, or a query that is posted over the link."""
        del now_ns
        named = _query(unsigned, key)
        if unsigned.method == "post":
            return _encode({"method": "post", "id": int(request_id), "request": {"type": "info", "payload": named}})
        return _encode({"method": unsigned.method, "subscription": named})


def _query(unsigned: Unsigned, key: WalletKey | None) -> dict[str, Any]:
    """Return the parameters of a query as its body names them, with the account's address if it concerns one."""
    found: dict[str, Any] = {name: _typed(name, value) for name, value in unsigned.params}
    if found.get("type") == "candleSnapshot":
        return {"type": found.pop("type"), "req": found}
    if unsigned.signed:
        assert key is not None, f"{unsigned.params} concerns an account, and there is no key"
        found["user"] = key.signer if found.get("type") == ROLE else key.user
    return found


def _typed(name: str, value: str) -> Any:
    return int(value) if name in INTEGERS and value.isascii() and value.isdigit() else value


def _address(text: str, name: str) -> str:
    """Return an address in lower case, as signatures need it (2). Raises ValueError."""
    lower = text.lower()
    if not ADDRESS.fullmatch(lower):
        raise ValueError(f"the {name} is no address: 0x and 40 hex digits of the account, copied whole")
    return lower


_encode = msgspec.json.encode
