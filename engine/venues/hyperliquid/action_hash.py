"""The digest that an action's signature is made of: EIP-712 over a hash of the action's msgpack bytes (2).

The nonce, the account that the action is for, and the time after which it is stale are inside the hash. Pure; the
caller brings the hash function, keccak-256, since it belongs to an extra.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

Keccak = Callable[[bytes], bytes]

DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
AGENT_TYPE: Final = b"Agent(string source,bytes32 connectionId)"
CHAIN_ID: Final = 1_337  # of every network: the source alone differs
MAINNET, TESTNET = b"a", b"b"


def connection_id(keccak: Keccak, action: Any, nonce: int, account: str, expires_ms: int | None) -> bytes:
    """Return the hash of an action.

    Args:
        keccak: keccak-256.
        action: The action; the order of its names counts.
        nonce: In milliseconds.
        account: The sub-account or vault that the action is for; "": the signer's own.
        expires_ms: The time after which the venue refuses the action; None: never.
    """
    packed = msgspec.msgpack.encode(action) + nonce.to_bytes(8, "big")
    packed += b"\x01" + bytes.fromhex(account.removeprefix("0x")) if account else b"\x00"
    if expires_ms is not None:
        packed += b"\x00" + expires_ms.to_bytes(8, "big")
    return keccak(packed)


def signed_digest(keccak: Keccak, connection: bytes, source: bytes) -> bytes:
    """Return the EIP-712 digest of a "phantom agent" with this source and connection id."""
    chain, contract = CHAIN_ID.to_bytes(32, "big"), bytes(32)
    domain = keccak(keccak(DOMAIN_TYPE) + keccak(b"Exchange") + keccak(b"1") + chain + contract)
    return keccak(b"\x19\x01" + domain + keccak(keccak(AGENT_TYPE) + keccak(source) + connection))
