"""Snapshots: states stored beside the segments, so that a late moment needs no fold of a whole day. A cache.

Written right after a CHECKPOINT. Used only if code and session are identical and the digests of the loaded state are
those of its CHECKPOINT record.
"""

import hashlib
from pathlib import Path

import msgspec

from engine.kernel import Kernel
from engine.market import serialize
from engine.record_codec import read_checkpoint
from engine.state.session_state import Account, State
from engine.state.versioned_map import encodable
from engine.upcast import SCHEMA, account_values
from journal import caches
from journal.bundle import BEGIN_STATE
from journal.errors import DamagedJournalError
from journal.reader import Journal
from journal.record import Kind, Record
from replay.code_digest import code_digest
from replay.recorded_digests import digests_as_of

_PREFIX = "state-"


class Snapshot(msgspec.Struct, frozen=True):
    """A state in the form that is stored."""

    time_ns: int
    inputs: int
    input_hash: bytes = msgspec.field(name="heard")  # bundles hold it under this name
    account: Account
    market: bytes


_encode = msgspec.msgpack.Encoder(enc_hook=encodable).encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def _decode_older(body: bytes | memoryview) -> Snapshot:
    """Decode a snapshot whose account may have the names of an older schema."""
    values = msgspec.msgpack.decode(body)
    account_values(values["account"])
    return msgspec.convert(values, Snapshot)


def session_digest(record: Record) -> str:
    """Return a hash over the SESSION record."""
    return hashlib.sha256((record.body or "").encode()).hexdigest()


def write_snapshot(folder: Path, first: Record, state: State, input_hash: bytes) -> None:
    """Write a snapshot of a state right after its CHECKPOINT."""
    caches.save(folder, f"{_PREFIX}{state.seq:012d}", _cache_key(first, state.seq), pack_state(state, input_hash))


def pack_state(state: State, input_hash: bytes) -> bytes:
    """Serialize a state right after its CHECKPOINT. `input_hash` is its hash over the inputs before the CHECKPOINT."""
    snapshot = Snapshot(
        time_ns=state.time_ns,
        inputs=state.inputs,
        input_hash=input_hash,
        account=state.account,
        market=state.market.dump(),
    )
    return _encode(snapshot)


def initial_state(journal: Journal, kernel: Kernel, first: Record) -> State:
    """Return the state where a journal begins: at its SESSION record, or at the first CHECKPOINT of a slice.

    Raises:
        DamagedJournalError: The state of a slice does not have the digests of its CHECKPOINT.
    """
    if not journal.left_out:
        return kernel.begin(first)
    path, seq = journal.folder / BEGIN_STATE, journal.left_out.stop
    if (state := _unpack_state(path.read_bytes() if path.exists() else b"", seq, journal, kernel)) is None:
        raise DamagedJournalError(
            path,
            f"its digests are not those of the CHECKPOINT (record {seq}), or a changed strategy needs another state",
            f"read it with the engine that recorded it, version {kernel.session.body.versions.get('engine')}",
        )
    return state


def nearest_state(journal: Journal, kernel: Kernel, first: Record, until: int) -> State | None:
    """Return the state of the last usable snapshot at or before `until`."""
    for seq in snapshot_seqs(journal):
        if seq <= until and (state := load_snapshot(seq, journal, kernel, first)) is not None:
            return state
    return None


def snapshot_seqs(journal: Journal) -> list[int]:
    """Return the seqs of the CHECKPOINTs that have a snapshot, usable or not, the last first."""
    names = (name.removeprefix(_PREFIX) for name in caches.list_names(journal.folder, _PREFIX))
    return [int(seq) for seq in names if seq.isdigit()]


def load_snapshot(seq: int, journal: Journal, kernel: Kernel, first: Record) -> State | None:
    """Return the state of the CHECKPOINT `seq`, or None if it has no usable snapshot."""
    body = caches.load(journal.folder, f"{_PREFIX}{seq:012d}", _cache_key(first, seq))
    return None if body is None else _unpack_state(body, seq, journal, kernel)


def _cache_key(first: Record, seq: int) -> str:
    return f"{code_digest()} {session_digest(first)} {seq}"


def _unpack_state(body: bytes | memoryview, seq: int, journal: Journal, kernel: Kernel) -> State | None:
    """Deserialize a state. Return None if its digests are not those of the CHECKPOINT `seq`."""
    schema = kernel.session.body.schema
    try:
        snapshot = _decode(body) if schema == SCHEMA else _decode_older(body)
        market = kernel.session.empty_market()
        serialize.load(market, snapshot.market)
    except (msgspec.MsgspecError, ValueError, LookupError):
        return None
    checkpoint = next(iter(journal.records(seq, seq)), None)
    if checkpoint is None or checkpoint.kind is not Kind.CHECKPOINT:
        return None
    state = State(snapshot.account, market, seq=seq, time_ns=snapshot.time_ns, inputs=snapshot.inputs)
    state.restart_hash(snapshot.input_hash)
    stated = read_checkpoint(checkpoint.body or "").parts
    digests = {name: part for name, part in digests_as_of(schema, state).items() if name != "inputs"}
    is_same = (
        all(stated.get(name) == part for name, part in digests.items())
        and stated.get("inputs", (0, ""))[1] == snapshot.input_hash.hex()
    )
    return state if is_same else None
