"""Power cuts by the thousand: a session is written once and cut at every operation, and each recovered image is
checked.

The writer's and the sealer's threads use different files, so one recorded session represents every order of their
operations: the order is shuffled before it is cut. A recovery is cut in the same way, and so is the recovery after
that. The seed and the number of a session determine everything. Uses the journal only as its callers do.
"""

import hashlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import msgspec
from forgetful import FOLDER, ForgetfulDisk, Operation

import journal.recover
from journal.checksums import CHECKSUMS
from journal.errors import JournalError, NotAJournalError
from journal.frames import TornTail
from journal.merge import merge
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import Recovered, recover
from journal.segments import first_seqs, open_name
from journal.verify import verify
from journal.writer import JournalWriter

AGAIN = 3  # further cuts before every sync: most is at stake there
MERGED = 0.3  # of the sessions are merged when they are closed
KILLS = 0.15  # of the cuts end the process alone
READ = 0.2  # of the images are read before they are recovered
NESTED = 2  # cuts of each recovery
NESTED_MAX = 2  # a recovery, cut, and its recovery, cut again
NEVER_S = 3600.0
NEVER_NS = 10**18
PATIENCE_S = 60.0

Files = dict[str, bytes]


class BrokenPromiseError(Exception):
    """A promise was broken. The text names the image."""


class Promised(NamedTuple):
    """Everything that callers were promised before the power cut."""

    created: bool = False
    durable_seq: int = -1
    written_seq: int = -1  # survives the end of the process, not the machine's
    chain: str | None = None  # of a session that was closed, or of a recovery that came to its end
    closed: bool = False

    def after(self, operation: Operation) -> "Promised":
        if operation.verb != "promise":
            return self
        what, value = operation.args
        match what:
            case "created":
                return self._replace(created=True)
            case "durable":
                return self._replace(durable_seq=max(self.durable_seq, value))
            case "written":
                return self._replace(written_seq=max(self.written_seq, value))
            case _:
                return self._replace(created=True, **value)


class Image(NamedTuple):
    """The state of a disk after a cut, and the promises given before it."""

    name: str
    disk: ForgetfulDisk
    promised: Promised = Promised()
    nested: int = 0  # the number of recoveries before it


class Tally:
    """The images tried so far. Byte-identical images are tried and counted once."""

    def __init__(self, scratch: Path) -> None:
        self.sessions = self.images = self.nested = 0
        self._scratch = scratch
        self._seen: set[bytes] = set()
        self._judged: set[bytes] = set()  # end states: many images come to the same one
        self._sealed: dict[object, tuple[list[Operation], object]] = {}

    def try_session(self, seed: str, session: int) -> Iterator[int]:
        """Cut one session at every operation, and yield the number of images after each.

        Raises:
            Broken: A promise was broken; this is the first.
        """
        chance = random.Random(f"{seed}/{session}")
        written, ends = write_session(chance)
        self.sessions += 1
        self._sealed.clear()  # no other session holds the same rows
        done = shuffle_threads(written, chance)
        if chance.random() < MERGED:
            try:
                done = append_merge(done, chance)
            except JournalError as error:
                raise BrokenPromiseError(f"seed {seed}, session {session}: merging ended with {error!r}") from error
        moments = _moments(done)
        for image in cuts(Image(f"seed {seed}, session {session}", ForgetfulDisk()), done, moments, chance):
            yield from self._try(image, ends, chance)

    def _try(self, image: Image, ends: set[int], chance: random.Random) -> Iterator[int]:
        key = digest(image.disk.contents(), f"{image.disk.state()} {image.promised}")
        if key in self._seen:
            return
        self._seen.add(key)
        self.images += 1
        self.nested += image.nested > 0
        disk = image.disk.copy()
        try:
            if chance.random() < READ:
                read_unrecovered(image, self._folder_of(disk.contents()))
            self._recover(disk, image.promised, ends)
        except BrokenPromiseError as error:
            raise BrokenPromiseError(f"{image.name}: {error}") from error
        yield self.images
        if image.nested < NESTED_MAX and disk.done:
            moments = chance.choices(_moments(disk.done), k=NESTED)
            for cut in cuts(image._replace(nested=image.nested + 1), disk.done, moments, chance):
                yield from self._try(cut, ends, chance)

    def _once(self, seal: Callable[..., object]) -> Callable[..., object]:
        """Wrap `seal`: for rows that it sealed before, repeat the recorded operations, as in nine of ten recoveries."""

        def sealing(disk: ForgetfulDisk, first_seq: int, *others: object, dropped: TornTail, **named: object) -> object:
            rows = disk.files[open_name(first_seq)].read_at(0, dropped.offset)
            sums = disk.files[CHECKSUMS].data if CHECKSUMS in disk.files else b""
            key = (rows, bytes(sums), *disk.names(), *others, dropped, *named.items())
            if key not in self._sealed:
                begun = len(disk.done)
                footer = seal(disk, first_seq, *others, dropped=dropped, **named)
                self._sealed[key] = disk.done[begun:], footer
                return footer
            operations, footer = self._sealed[key]
            for operation in operations:
                disk.repeat(operation)
            return footer

        return sealing

    def _recover(self, disk: ForgetfulDisk, promised: Promised, ends: set[int]) -> None:
        try:
            with patch.object(journal.recover, "seal", self._once(journal.recover.seal)):
                recovered = recover(FOLDER, disk=disk)
        except NotAJournalError as error:
            if promised.created:
                raise BrokenPromiseError(f"{error}") from error
            return
        except Exception as error:
            raise BrokenPromiseError(f"recovery made of a crash {error!r}") from error
        if recovered.last_seq < max(promised.durable_seq, promised.written_seq):
            raise BrokenPromiseError(f"promised was {promised}, but record {recovered.last_seq} is the last")
        if recovered.last_seq not in ends:
            raise BrokenPromiseError(f"record {recovered.last_seq} ends no step")
        if promised.chain not in (None, recovered.chain) or promised.closed > recovered.was_closed:
            raise BrokenPromiseError(f"promised was {promised}, recovered is {recovered}")
        disk.promise("recovered", {"durable_seq": recovered.last_seq, "chain": recovered.chain})
        files = disk.contents()
        if (key := digest(files)) not in self._judged:
            check_recovered(files, recovered, self._folder_of(files))
            self._judged.add(key)

    def _folder_of(self, files: Files) -> Path:
        folder = self._scratch / "image"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder


def _moments(done: Sequence[Operation]) -> list[int]:
    """Return the moments to cut at: after every operation, but once for each run of writes to one file."""
    files = [operation.args[1:] and operation.verb == "write" and operation.args[0] for operation in done]
    steps = [0, *(at + 1 for at, file in enumerate(files) if not file or file not in files[at + 1 : at + 2])]
    return [*steps, *AGAIN * [at for at, operation in enumerate(done) if operation.verb in ("sync", "sync_folder")]]


def cuts(before: Image, done: Sequence[Operation], moments: Sequence[int], chance: random.Random) -> Iterator[Image]:
    """Yield an image for each moment, which counts the operations done since `before`."""
    disk, promised, counts = before.disk.copy(), before.promised, Counter(moments)
    for moment in range(len(done) + 1):
        if moment:
            disk.repeat(done[moment - 1])
            promised = promised.after(done[moment - 1])
        for fate in range(counts[moment]):
            name = f"{moment}.{fate}"
            if chance.random() < KILLS:
                yield Image(f"{before.name}, kill {name}", disk.after_a_kill(chance), promised, before.nested)
            else:
                kept = promised._replace(written_seq=-1)
                yield Image(f"{before.name}, cut {name}", disk.after_a_cut(chance), kept, before.nested)


def read_unrecovered(image: Image, folder: Path) -> None:
    """Read an image without recovery: a reader must see a true prefix with all durable records."""
    try:
        found = list(Journal.open(folder).records())
    except NotAJournalError as error:
        if image.promised.created:
            raise BrokenPromiseError(f"{error}") from error
        return
    except Exception as error:
        raise BrokenPromiseError(f"a reader made of a crash {error!r}") from error
    if len(found) <= image.promised.durable_seq or found != [record(seq) for seq in range(len(found))]:
        raise BrokenPromiseError(f"a reader saw other records: {len(found)}, promised was {image.promised}")


def check_recovered(files: Files, recovered: Recovered, folder: Path) -> None:
    """Check a recovered journal: every reader sees the same true records, and a second recovery changes nothing."""
    again = ForgetfulDisk(files)
    try:
        second = recover(FOLDER, disk=again)
    except Exception as error:
        raise BrokenPromiseError(f"a second recovery ended with {error!r}") from error
    if second != msgspec.structs.replace(recovered, sealed_now=0) or again.contents() != files:
        raise BrokenPromiseError(f"a second recovery said {second} after {recovered}")
    if untidy := [name for name in files if name.endswith((".open", ".tmp"))]:
        raise BrokenPromiseError(f"recovery left {untidy}")
    report = verify(folder)
    # of a segment whose creation was never synced, so that it has no rows, a cut may keep the sealed file and not its
    # checksum
    rowless = max(first_seqs(files, "parquet")) > recovered.last_seq
    if report.problems or (report.notes and not rowless) or report.chain != recovered.chain:
        raise BrokenPromiseError(f"verify said {report}")
    if report.torn_bytes != recovered.dropped_bytes:
        raise BrokenPromiseError(
            f"recovery dropped {recovered.dropped_bytes} bytes, verify knows of {report.torn_bytes}"
        )
    if list(Journal.open(folder).records()) != [record(seq) for seq in range(recovered.last_seq + 1)]:
        raise BrokenPromiseError(f"the records up to {recovered.last_seq} are not those that were appended")


def digest(files: Files, more: str = "") -> bytes:
    found = hashlib.blake2b(more.encode(), digest_size=16)
    for name, data in sorted(files.items()):
        found.update(f"{name} {len(data)}\n".encode())
        found.update(data)
    return found.digest()


# ---- a session, written


def record(seq: int) -> Record:
    """Return the record that every session of this module has at this seq."""
    if seq % 3:
        return Record(seq, seq, Kind.FEED, "m", recv_ns=seq, payload=b"%d," % seq * (1 + seq * 7 % 90))
    return Record(seq, seq, Kind.FACT, "orders", cause=seq, key=f"o{seq}", body=f'"{seq}"')


def write_session(chance: random.Random) -> tuple[list[Operation], set[int]]:
    """Write a session, and return its operations and the last seqs of its steps. No clock affects the operations."""
    disk, group_rows, urgency = ForgetfulDisk(), chance.choice([1, 1, 4]), chance.choice([0.1, 0.5])
    writer = JournalWriter.create(
        FOLDER,
        disk=disk,
        segment_bytes=chance.choice([1, 4000, 10**6]),
        group_rows=group_rows,
        group_delay_s=NEVER_S,
        sync_delay_s=NEVER_S,
        on_durable=lambda seq: disk.promise("durable", seq),
        commit_ns_max=NEVER_NS,
        defers=True,
    )
    disk.promise("created")
    ends, seq, waiting = {-1}, 0, 0
    for _ in range(chance.choice([1, 4, 7])):
        rows, urgent = chance.randrange(1, 5), chance.random() < urgency
        way = (writer.commit, writer.write_deferred, writer.wake)[seq % 3]
        writer.append_step([record(at) for at in range(seq, seq + rows)], urgent=urgent)
        seq, waiting = seq + rows, waiting + rows
        ends.add(seq - 1)
        if urgent:
            way()  # the writer's thread does all of it if a segment ends
            writer.wake()
            writer.wait_durable(seq - 1, PATIENCE_S)
        elif waiting >= group_rows:
            wait_written(writer, seq - 1)
            disk.promise("written", seq - 1)
        if token := writer.durable_token(seq - 1):
            disk.promise("durable", token.seq)
        waiting = 0 if urgent or waiting >= group_rows else waiting
    summary = writer.close()
    disk.promise("closed", {"chain": summary.chain, "closed": True})
    return disk.done, ends


def wait_written(writer: JournalWriter, seq: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while writer.written_seq < seq:
        if writer.failed is not None or time.monotonic() > until_s:
            raise TimeoutError(f"record {seq} was not written: {writer.failed}")
        time.sleep(0)


def split_by_thread(written: Sequence[Operation]) -> tuple[list[Operation], list[Operation]]:
    """Split the operations into those of the writer with its caller, and those of the sealer."""
    sealer = next(operation.thread for operation in written if operation.verb == "rename")
    sealing = [operation for operation in written if operation.thread == sealer]
    return [operation for operation in written if operation.thread != sealer], sealing


def open_segments(written: Sequence[Operation]) -> Files:
    """Return the files that the writer's thread alone makes: all segments, open."""
    disk = ForgetfulDisk()
    for operation in split_by_thread(written)[0]:
        disk.repeat(operation)
    return disk.contents()


def shuffle_threads(written: Sequence[Operation], chance: random.Random) -> list[Operation]:
    """Return the same operations in another possible order: a seal begins any time after its segment was finished."""
    writing, sealing = split_by_thread(written)
    last = writing.pop()  # closing waits for both
    earliest = dict(_segments_left(writing))
    eager, at, found = chance.choice([0.1, 0.5, 0.9]), 0, list[Operation]()
    for operation in sealing:
        begins = operation.verb == "create" and operation.args[0][0].isdigit()
        not_before = earliest.get(operation.args[0].split(".")[0], len(writing)) if begins else at
        while at < len(writing) and (at < not_before or chance.random() > eager):
            found.append(writing[at])
            at += 1
        found.append(operation)
    return [*found, *writing[at:], last]


def append_merge(done: Sequence[Operation], chance: random.Random) -> list[Operation]:
    """Merge the segments of a closed session, and return all operations."""
    disk = ForgetfulDisk()
    for operation in done:
        disk.repeat(operation)
    merge(FOLDER, disk=disk, bytes_max=chance.choice([4_000, 9_000, 10**9]))
    return disk.done


def _segments_left(writing: Sequence[Operation]) -> Iterator[tuple[str, int]]:
    """Yield each segment with the number of writer's operations before its sealing."""
    for at, operation in enumerate(writing):
        if operation.verb == "close":
            after = at + 2  # the next segment's creation
            if after < len(writing) and writing[after].verb == "sync_folder":
                after += 1
            yield operation.args[0].split(".")[0], after
