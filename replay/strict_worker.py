"""One process of a strict replay: `python -m replay.strict_worker FOLDER LAST_SEQ FILE` (or `--parts` for FILE).

Writes to FILE, after every input, its seq and a digest over all parts of the state and the outputs; prints its verdict.
With --parts it prints the digest of each part as it is after record LAST_SEQ. replay/strict.py compares.
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
from engine.state.session_state import CARRIED, FRESH, State
from journal.reader import Journal
from replay.network_guard import no_sockets
from replay.replay import Repetition, Step, records_of, told
from replay.strict import WorkerVerdict

DIGEST_BYTES = 16


class Digests:
    """Digests of every part, made anew only for what was replaced: an account's parts are immutable."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[object, bytes]] = {}

    def of(self, state: State) -> dict[str, str]:
        account = state.account
        parts = {f"account.{name}": self._part(name, getattr(account, name)) for name in (*CARRIED, *FRESH)}
        parts.update({f"market.{name}": found for name, (_, found) in state.market.digests().items()})
        parts["inputs"] = state.input_hash.hex()
        return parts

    def _part(self, name: str, part: msgspec.Struct) -> str:
        known = self._known.get((name, ""))
        if known is not None and known[0] is part:
            return known[1].hex()
        whole = sha256()
        for field in part.__struct_fields__:
            value = getattr(part, field)
            before = self._known.get((name, field))
            if before is None or before[0] is not value:
                # not the canonical text of a CHECKPOINT: that costs ten times as much, and here both ends are this file
                before = self._known[name, field] = (value, sha256(_encode(value)).digest())
            whole.update(before[1])
        self._known[name, ""] = (part, whole.digest())
        return whole.hexdigest()


_encode = msgspec.msgpack.Encoder().encode  # dicts as they were filled: another order of filling is a difference too


def watched(step: Step, file: BinaryIO, digests: Digests) -> Step:
    """The step, and after it one row in the file."""

    def stepping(state: State, batch: Batch) -> StepResult:
        [record] = batch.records
        result = step(state, batch)
        if not result.records:
            return result
        whole = sha256("".join(digests.of(state).values()).encode())
        for output in records_of(result.outputs):
            whole.update(
                f"{output.seq} {output.kind} {output.source} {output.cause} {output.key} {output.body}".encode()
            )
        file.write(record.seq.to_bytes(8, "little") + whole.digest()[:DIGEST_BYTES])
        return result

    return stepping


def main(folder: Path, last: int, target: str) -> None:
    journal = Journal.open(folder)
    session = read_session(journal.session_record().body or "")
    digests = Digests()
    if target == "--parts":
        with no_sockets():
            repetition = Repetition(journal, session)
            repetition.run(last, None)
        print(msgspec.json.encode(digests.of(repetition.state)).decode())  # noqa: T201 - the parent reads it
        return
    with Path(target).open("wb") as file, no_sockets():
        repetition = Repetition(journal, session, lambda step: watched(step, file, digests))
        begun = time.perf_counter()
        difference = repetition.run(last, None)
        seconds = time.perf_counter() - begun
    counts = repetition.counts
    verdict = WorkerVerdict(
        identical=difference is None,
        records=counts.records,
        inputs=counts.inputs,
        checkpoints=counts.checkpoints,
        seconds=seconds,
        difference_seq=None if difference is None else difference.seq,
        text=""
        if difference is None
        else "\n".join(
            told(repetition.explained(difference, f"verbatim replay {folder} --until {difference.seq} --explain"))
        ),
    )
    print(msgspec.json.encode(verdict).decode())  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
