"""Snapshots: states beside the segments, so that asking for a late moment folds no whole day. A cache (journal/caches.py).

Kept right after a CHECKPOINT, and used only if code and session are the very same and the digests of the state made from
it are those that its CHECKPOINT record states.
"""

import hashlib
from functools import cache
from pathlib import Path

import msgspec

from engine.kernel import Kernel
from engine.market import serialize
from engine.record_codec import read_checkpoint
from engine.state.session_state import Account, State
from journal import caches
from journal.bundle import BEGIN_STATE
from journal.errors import DamagedJournalError
from journal.reader import Journal
from journal.record import Kind, Record

_PREFIX = "state-"
_ROOT = Path(__file__).resolve().parent.parent


class Snapshot(msgspec.Struct, frozen=True):
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
    """Writes a snapshot of a state right after its CHECKPOINT."""
    caches.save(folder, f"{_PREFIX}{state.seq:012d}", _made_from(first, state.seq), packed(state, heard))


def packed(state: State, heard: bytes) -> bytes:
    """A state right after its CHECKPOINT; `heard` is what it had heard up to there."""
    held = Snapshot(
        time_ns=state.time_ns,
        inputs=state.inputs,
        heard=heard,
        account=state.account,
        market=state.market.dump(),
    )
    return _encode(held)


def begun(journal: Journal, kernel: Kernel, first: Record) -> State:
    """Where a journal's records begin: at the SESSION record, or at the CHECKPOINT at which a slice goes on.

    DamagedJournalError where a slice's state is not the one that its CHECKPOINT states.
    """
    if not journal.left_out:
        return kernel.begin(first)
    path, seq = journal.folder / BEGIN_STATE, journal.left_out.stop
    if (state := _unpacked(path.read_bytes() if path.exists() else b"", seq, journal, kernel)) is None:
        raise DamagedJournalError(
            path,
            f"it is not the state that the CHECKPOINT (record {seq}) states, or a changed strategy asks for another",
            f"read it with the engine that bundled it; it was recorded with {kernel.session.body.versions.get('engine')}",
        )
    return state


def nearest(journal: Journal, kernel: Kernel, first: Record, until: int) -> State | None:
    """The state of the last usable snapshot at or before `until`."""
    for seq in seqs(journal):
        if seq <= until and (state := at(seq, journal, kernel, first)) is not None:
            return state
    return None


def seqs(journal: Journal) -> list[int]:
    """Of the CHECKPOINTs that there are snapshots of, usable or not; the last first."""
    names = (name.removeprefix(_PREFIX) for name in caches.list_names(journal.folder, _PREFIX))
    return [int(seq) for seq in names if seq.isdigit()]


def at(seq: int, journal: Journal, kernel: Kernel, first: Record) -> State | None:
    """None where there is no usable snapshot of the CHECKPOINT `seq`."""
    body = caches.load(journal.folder, f"{_PREFIX}{seq:012d}", _made_from(first, seq))
    return None if body is None else _unpacked(body, seq, journal, kernel)


def _made_from(first: Record, seq: int) -> str:
    return f"{code_digest()} {session_digest(first)} {seq}"


def _unpacked(body: bytes | memoryview, seq: int, journal: Journal, kernel: Kernel) -> State | None:
    """None where it is not the state that the CHECKPOINT `seq` states."""
    try:
        held = _decode(body)
        market = kernel.session.empty_market()
        serialize.load(market, held.market)
    except (msgspec.MsgspecError, ValueError, LookupError):
        return None
    checkpoint = next(iter(journal.records(seq, seq)), None)
    if checkpoint is None or checkpoint.kind is not Kind.CHECKPOINT:
        return None
    state = State(held.account, market, seq=seq, time_ns=held.time_ns, inputs=held.inputs)
    state.restart_hash(held.heard)
    stated = read_checkpoint(checkpoint.body or "").parts
    found = {name: part for name, part in state.digests().items() if name != "inputs"}
    same = (
        all(stated.get(name) == part for name, part in found.items())
        and stated.get("inputs", (0, ""))[1] == held.heard.hex()
    )
    return state if same else None
