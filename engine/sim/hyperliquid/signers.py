"""Signers of accounts, their nonces, and the number of actions that an address may make (fact sheet, 2 and 9).

Needs eth-account (the extra `hyperliquid`).
"""

from heapq import heappop, heappush
from importlib import import_module
from typing import Final

from engine.sim.hyperliquid.action_shapes import Signature, SignedAction, canonical
from engine.venues.hyperliquid.action_hash import TESTNET, connection_id, signed_digest

NONCES_KEPT: Final = 100
AHEAD_MS: Final = 86_400_000
BEHIND_MS: Final = 2 * AHEAD_MS
FREE_ACTIONS: Final = 10_000
CANCELS_MORE: Final = 100_000
SLOW_NS: Final = 10_000_000_000  # of one action, once they are used up
STALE_COST: Final = 5
RECOVERY: Final = 27  # v is so much more than the number of the recovered key


class ActionRefusedError(Exception):
    """The refusal of a whole action, in the venue's words."""


class SignerBook:
    """The addresses of accounts and of their API wallets. Each account has one API wallet, its configured secret."""

    def __init__(self, keys: dict[str, tuple[str, str]]) -> None:
        """Take account and private key of each address, as open_accounts returns them."""
        try:
            self._keys = import_module("eth_keys").keys
            failures = import_module("eth_keys.exceptions")
            self._keccak = import_module("eth_utils").keccak
        except ImportError:
            raise ValueError(
                "the simulated Hyperliquid needs eth-account: pip install verbatim-trading[hyperliquid]"
            ) from None
        self._failures = (failures.BadSignature, failures.ValidationError)
        self.account_of = {address.lower(): account for address, (account, _) in keys.items()}
        self.address_of = {account: address for address, account in self.account_of.items()}
        # signer -> addresses that it may act for
        self.agents: dict[str, str] = {}
        for address, (_, secret) in keys.items():
            try:
                private = self._keys.PrivateKey(bytes.fromhex(secret.removeprefix("0x")))
                self.agents[private.public_key.to_address()] = address.lower()
            except (ValueError, failures.ValidationError):
                raise ValueError(f"the secret of account {address} is no private key: 0x and 64 hex digits") from None

    def acting_for(self, request: SignedAction) -> tuple[str, str]:
        """Return (address, signer) of a signed action. Raises ActionRefusedError for an unknown signer."""
        vault = (request.vault_address or "").lower()
        connection = connection_id(self._keccak, canonical(request.action), request.nonce, vault, request.expires_after)
        signer = self._recover(signed_digest(self._keccak, connection, TESTNET), request.signature)
        address = self.agents.get(signer)
        if address is None or (vault and vault != address):
            raise ActionRefusedError(f"User or API Wallet {signer} does not exist.")
        return address, signer

    def _recover(self, digest: bytes, signature: Signature) -> str:
        try:
            numbers = signature.v - RECOVERY, int(signature.r, 16), int(signature.s, 16)
            public = self._keys.Signature(vrs=numbers).recover_public_key_from_msg_hash(digest)
            return str(public.to_address())
        except (ValueError, *self._failures):
            raise ActionRefusedError("Unable to recover signer.") from None


class Nonces:
    """The nonces of each signer: the 100 highest are kept, and a new one is above the lowest of them."""

    def __init__(self) -> None:
        self._kept: dict[str, list[int]] = {}

    def use(self, signer: str, nonce: int, now_ms: int) -> None:
        """Use a nonce. Raises ActionRefusedError for one that was used, is too old, or is far from now."""
        kept = self._kept.setdefault(signer, [])
        if nonce in kept:
            raise ActionRefusedError(f"Invalid nonce: duplicate nonce {nonce}")
        if not now_ms - BEHIND_MS < nonce < now_ms + AHEAD_MS:
            raise ActionRefusedError(f"Invalid nonce: nonce {nonce} is too far from the time of the block {now_ms}")
        if len(kept) >= NONCES_KEPT and nonce < kept[0]:
            raise ActionRefusedError(f"Invalid nonce: nonce too low {nonce} < {kept[0]}")
        heappush(kept, nonce)
        if len(kept) > NONCES_KEPT:
            heappop(kept)


class AddressLimits:
    """The actions that each address may make: 10,000, and one for each dollar that it ever traded."""

    def __init__(self, free: int) -> None:
        """Take the actions that an address may make before it trades."""
        self._free = free
        self.used: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}

    def cap(self, traded: int, *, cancels: bool = False) -> int:
        """Return the most actions of an address that traded so many dollars."""
        most = self._free + traded
        return min(most + CANCELS_MORE, 2 * most) if cancels else most

    def charge(self, address: str, count: int, traded: int, now_ns: int, *, cancels: bool) -> None:
        """Count actions. Raises ActionRefusedError over the limit, except for one action in ten seconds."""
        used = self.used.get(address, 0) + count
        if used > (most := self.cap(traded, cancels=cancels)):
            if now_ns - self._last_ns.get(address, -SLOW_NS) < SLOW_NS:
                text = f"Too many cumulative requests sent ({used} > {most}) for cumulative volume traded ${traded}."
                raise ActionRefusedError(text)
            self._last_ns[address] = now_ns
        self.used[address] = used
