"""Snapshots: states beside the segments, so that asking for a late moment folds no whole day. A cache, never truth.

Written by readers, right after a CHECKPOINT, and used only if code and session are the very same and the digests of the
state made from it are those that its CHECKPOINT record states.
"""

import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from engine import facts
from engine.kernel import Kernel
from engine.market import store
from engine.state import Account, State
from journal.reader import Journal
from journal.record import Kind, Record

_PREFIX, _SUFFIX = "snap-", ".bin"
_MAGIC = b"VSN1"
_ROOT = Path(__file__).resolve().parent.parent


class Snapshot(msgspec.Struct, frozen=True):
    code: str  # of the engine that folded it
    session: str  # sha256 of the SESSION record
    seq: int
    time_ns: int
    inputs: int
    heard: bytes
    account: Account
    market: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


@cache
def code_digest() -> str:
    """A hash over the engine's source: another engine may fold otherwise."""
    digest = hashlib.sha256()
    for path in sorted((_ROOT / "engine").rglob("*.py")):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def session_digest(record: Record) -> str:
    return hashlib.sha256((record.body or "").encode()).hexdigest()


def keep(folder: Path, first: Record, state: State, heard: bytes) -> None:
    """Writes a snapshot of a state right after its CHECKPOINT. A folder that cannot be written stays as it is."""
    held = Snapshot(
        code=code_digest(),
        session=session_digest(first),
        seq=state.seq,
        time_ns=state.time_ns,
        inputs=state.inputs,
        heard=heard,
        account=state.account,
        market=state.market.dump(),
    )
    body = _encode(held)
    path = folder / f"{_PREFIX}{state.seq:012d}{_SUFFIX}"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        temporary.write_bytes(_MAGIC + hashlib.sha256(body).digest() + body)
        temporary.replace(path)


def nearest(journal: Journal, kernel: Kernel, first: Record, until: int) -> State | None:
    """The state of the last usable snapshot at or before `until`."""
    with suppress(OSError):
        for path in sorted(journal.folder.glob(f"{_PREFIX}*{_SUFFIX}"), reverse=True):
            seq = path.name[len(_PREFIX) : -len(_SUFFIX)]
            if seq.isdigit() and int(seq) <= until and (state := _loaded(path, journal, kernel, first)) is not None:
                return state
    return None


def _loaded(path: Path, journal: Journal, kernel: Kernel, first: Record) -> State | None:
    data = path.read_bytes()
    head = len(_MAGIC) + 32
    body = data[head:]
    if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(body).digest() != data[len(_MAGIC) : head]:
        return None
    try:
        held = _decode(body)
        if (held.code, held.session) != (code_digest(), session_digest(first)):
            return None
        market = kernel.program.empty_market()
        store.load(market, held.market)
    except (msgspec.MsgspecError, ValueError, LookupError):
        return None
    checkpoint = next(iter(journal.records(held.seq, held.seq)), None)
    if checkpoint is None or checkpoint.kind is not Kind.CHECKPOINT:
        return None
    state = State(held.account, market, seq=held.seq, time_ns=held.time_ns, inputs=held.inputs)
    state.new_page(held.heard)
    stated = facts.read_checkpoint(checkpoint.body or "").parts
    found = {name: part for name, part in state.digests().items() if name != "inputs"}
    same = (
        all(stated.get(name) == part for name, part in found.items())
        and stated.get("inputs", (0, ""))[1] == held.heard.hex()
    )
    return state if same else None
