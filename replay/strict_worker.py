"""One process of a strict replay: `python -m replay.strict_worker FOLDER LAST_SEQ FILE` (or `--parts` for FILE).

Writes to FILE, after every input, its seq and a digest over all parts of the state and the outputs; prints its result.
With --parts it prints the digest of each part after record LAST_SEQ. replay/strict.py compares.
"""

import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.apply.batch import Batch
from engine.kernel import StepResult
from engine.session_record import read_session
from engine.state.session_state import State, checkpoint_parts
from engine.state.versioned_map import encodable
from journal.reader import Journal
from replay.network_guard import no_sockets
from replay.replay import SessionReplay, Step, difference_lines, records_of
from replay.strict import WorkerResult

DIGEST_BYTES = 16


class StateDigests:
    """Digests of every part of a state. Parts are immutable, so only replaced parts are hashed again."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[object, bytes]] = {}

    def digest_parts(self, state: State) -> dict[str, str]:
        """Return the digest of each part by its name."""
        account = state.account
        parts = {
            f"account.{name}": self._digest_part(name, getattr(account, name)) for name in checkpoint_parts(account)
        }
        parts.update({f"market.{name}": digest for name, (_, digest) in state.market.digests().items()})
        parts["inputs"] = state.input_hash.hex()
        return parts

    def _digest_part(self, name: str, part: msgspec.Struct) -> str:
        known = self._known.get((name, ""))
        if known is not None and known[0] is part:
            return known[1].hex()
        whole = sha256()
        for field in part.__struct_fields__:
            value = getattr(part, field)
            before = self._known.get((name, field))
            if before is None or before[0] is not value:
                # msgpack costs a tenth of the canonical text of a CHECKPOINT, and only this file reads it
                before = self._known[name, field] = (value, sha256(_encode(value)).digest())
            whole.update(before[1])
        self._known[name, ""] = (part, whole.digest())
        return whole.hexdigest()


_encode = msgspec.msgpack.Encoder(
    enc_hook=encodable
).encode  # dicts keep their order: another order of filling counts as a difference


def write_digests(step: Step, file: BinaryIO, digests: StateDigests) -> Step:
    """Return a step that writes one row to the file after each call."""

    def step_and_write(state: State, batch: Batch) -> StepResult:
        [record] = batch.records
        result = step(state, batch)
        if not result.records:
            return result
        whole = sha256("".join(digests.digest_parts(state).values()).encode())
        for output in records_of(result.outputs):
            whole.update(
                f"{output.seq} {output.kind} {output.source} {output.cause} {output.key} {output.body}".encode()
            )
        file.write(record.seq.to_bytes(8, "little") + whole.digest()[:DIGEST_BYTES])
        return result

    return step_and_write


def _send(value: object) -> None:
    """Write a value as one line of JSON for the parent process."""
    sys.stdout.write(f"{msgspec.json.encode(value).decode()}\n")


def main(folder: Path, last: int, target: str) -> None:
    """Replay a session, and write digests to `target`, or print the digests of its parts."""
    journal = Journal.open(folder)
    session = read_session(journal.session_record().body or "")
    digests = StateDigests()
    if target == "--parts":
        with no_sockets():
            session_replay = SessionReplay(journal, session)
            session_replay.run(last, None)
        _send(digests.digest_parts(session_replay.state))
        return
    with Path(target).open("wb") as file, no_sockets():
        session_replay = SessionReplay(journal, session, lambda step: write_digests(step, file, digests))
        began_at = time.perf_counter()
        difference = session_replay.run(last, None)
        seconds = time.perf_counter() - began_at
    counts = session_replay.counts
    result = WorkerResult(
        identical=difference is None,
        records=counts.records,
        inputs=counts.inputs,
        checkpoints=counts.checkpoints,
        seconds=seconds,
        difference_seq=None if difference is None else difference.seq,
        text=""
        if difference is None
        else "\n".join(
            difference_lines(
                session_replay.with_causes(difference, f"verbatim replay {folder} --until {difference.seq} --explain")
            )
        ),
    )
    _send(result)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
