"""Mutants: each rule of the journal, removed in turn, makes a test fail. A test that no mutant fails proves nothing.

A mutant is one of our functions with one line changed. The crash images kill most of them within a bounded number of
images, and the test named beside a mutant kills the rest. The folder's last sync of a recovery has no mutant, because
no promise depends on it: a file that reappears is unlinked by the next recovery.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import power_cuts
import pytest
import test_journal_damage as damage
import test_journal_every_byte as every_byte
import test_journal_failing_disk as failing
import test_journal_writing as writing
from power_cuts import BrokenPromiseError, Tally

import journal.checksums
import journal.disk
import journal.frame_output
import journal.frames
import journal.merge
import journal.reader
import journal.recover
import journal.seal
import journal.verify
from journal.errors import JournalError
from journal.frame_output import FrameOutput
from journal.reader import Journal
from journal.sealer import Sealer
from journal.segments import SealedSegment
from journal.writer import JournalWriter

IMAGES_MAX = 1_500
SEED = "mutants"


class Mutant(NamedTuple):
    rule: str  # that it breaks
    owner: Any  # a module or a class
    function: str
    line: str
    instead: str = "pass"
    session: int = 0  # the first whose images kill it


BY_IMAGES = [
    Mutant("sync before acknowledging", FrameOutput, "sync", "self._disk.sync(open_name(self.first_seq))"),
    Mutant("acknowledge what was written, not what waits", JournalWriter, "_make_durable", "self._output.sync()", "self._output.sync(); self._output.durable_seq = self._next_seq - 1", session=5),
    Mutant("a token only for what is durable", JournalWriter, "durable_token", "self.durable_seq if self._waits_for_sync else self.written_seq", "self.written_seq"),
    Mutant("a frame vouches only for what was synced", FrameOutput, "write", "encode_frame(records, self.durable_seq)", "encode_frame(records, self.written_seq)", session=10),
    Mutant("sync the folder before the session begins", FrameOutput, "begin", "self._disk.sync_folder()"),
    Mutant("sync the folder after a new segment", FrameOutput, "roll", "self._disk.sync_folder()", session=5),
    Mutant("sync the old segment before a new one", JournalWriter, "_write", "if self.durable_seq != self.written_seq:", "self._output.durable_seq = self.written_seq\n            if False:", session=5),
    Mutant("sync the sealed file before its rename", journal.seal, "write_sealed", "disk.sync(temporary)"),
    Mutant("seal under another name", journal.seal, "write_sealed", 'f"{first_seq:012d}.tmp"', "sealed_name(first_seq)"),
    Mutant("sync the folder before unlinking the open segment", journal.seal, "seal", "disk.sync_folder()"),
    Mutant("unlink the open segment", journal.seal, "seal", "disk.unlink(open_name(first_seq))"),
    Mutant("note the checksum of what was sealed", journal.seal, "write_sealed", "note_checksum(disk, sealed, written.checksum, without=instead_of)"),
    Mutant("sync the checksums before their rename", journal.checksums, "note_checksum", "disk.sync(temporary)"),
    Mutant("check the checksum of a frame", journal.frames, "read_frame", " or crc32(body, crc32(header[_CHECKED_FROM:])) != crc", ""),
    Mutant("a tear is no damage", journal.recover, "_refuse_damage", "if tail.next_seq <= durable_seq:", "if tail.torn_bytes:"),
    Mutant("half a seal is not kept", journal.recover, "_recover", 'if name.endswith(".tmp"):', "if False:"),
    Mutant("the twin of a sealed segment goes", journal.recover, "_recover", "disk.unlink(open_name(seq))"),
    Mutant("sync the folder before unlinking a twin", journal.recover, "_recover", "disk.sync_folder()\n            disk.unlink", "disk.unlink"),
    Mutant("a checksum that a crash left out is noted", journal.recover, "_recover", "note_checksum(disk, sealed_name(seq), sha256(read_all(disk.open_reader(sealed_name(seq)))))"),
]  # fmt: skip

BY_IMAGES_OF_MERGES = [
    Mutant("sync the folder before unlinking what was merged", journal.recover, "unlink_merged", "if seqs:", "if False:", session=11),
    Mutant("the last that was merged goes after the others", journal.recover, "unlink_merged", "(merged.keys() - lasts, lasts)", "(merged.keys(),)"),
    Mutant("a merged segment is there before the lines of the others go", journal.seal, "write_sealed", "if instead_of:", "if False:", session=16),
    Mutant("a merge that was cut off is finished", journal.recover, "_recover", "finish_merge(disk, merged)", session=5),
    Mutant("what was merged is no second copy", journal.recover, "superseded", "set(footer.parts) <= set(holder.parts)", "False", session=5),
]  # fmt: skip

BY_TESTS = [
    (Mutant("what was durable is missed", journal.recover, "_refuse_damage", "if tail.next_seq <= durable_seq:", "if False:"), damage.test_damage_before_a_durable_record_is_refused_and_nothing_is_changed, {}),
    (Mutant("recovery decides before it changes anything", journal.recover, "_recover", "_refuse_damage(disk, footers, tails)"), damage.test_damage_before_a_durable_record_is_refused_and_nothing_is_changed, {}),
    (Mutant("a reader misses what was durable", Journal, "_refuse_damage", "if segment.tail.next_seq <= segment.tail.durable_seq:", "if False:"), damage.test_damage_before_a_durable_record_is_refused_and_nothing_is_changed, {}),
    (Mutant("verify misses what was durable", journal.verify, "_check_tail", "if tail.next_seq <= durable_seq:", "if False:"), damage.test_damage_before_a_durable_record_is_refused_and_nothing_is_changed, {}),
    (Mutant("frames vouch for those behind a tear", journal.frames.FrameWalk, "tail", "durable_seq = max(durable_seq, frame.durable_seq)"), damage.test_damage_before_a_durable_record_is_refused_and_nothing_is_changed, {}),
    (Mutant("frames follow one another", journal.frames.FrameWalk, "__iter__", "and frame.first_seq == self.next_seq", ""), every_byte.test_segments_that_change_their_names_are_found, {"kept": every_byte.all_open}),
    (Mutant("the twin of an open segment is checked before it is trusted", journal.recover, "_read_footer", "if has_twin and (", "if False and ("), damage.test_a_crash_while_sealing_loses_nothing, {"crash": "sealed file damaged since"}),
    (Mutant("recovery checks the chain", journal.recover, "_refuse_damage", "if chain and footer.prev_chain != chain:", "if False:"), every_byte.test_a_segment_of_another_session_is_found, {}),
    (Mutant("verify checks the chain", journal.verify, "_check_footer", "if chain and footer.prev_chain != chain:", "if False:"), damage.test_a_resealed_segment_with_other_rows_breaks_the_chain, {}),
    (Mutant("a reader checks the chain", Journal, "batches", 'if chain not in ("", segment.footer.chain_before(begins)):', "if False:"), every_byte.test_a_segment_of_another_session_is_found, {}),
    (Mutant("verify checks the bytes", journal.verify, "_check_sealed", "elif checksums[result.name] != _sha256_of(path):", "elif False:"), every_byte.test_a_flipped_bit_of_a_sealed_file_is_found, {}),
    (Mutant("verify checks the rows", journal.verify, "_check_sealed", "!= part.content:", "== '':"), every_byte.test_rows_that_are_not_those_of_the_footer_are_found, {}),
    (Mutant("a segment bears its own name", SealedSegment, "__init__", 'if path.name.split(".")[0] != f"{self.footer.first_seq:012d}":', "if False:"), every_byte.test_segments_that_change_their_names_are_found, {"kept": every_byte.all_sealed}),
    (Mutant("a row points into its dictionary", SealedSegment, "_group", "_check_words(table)"), every_byte.test_a_row_that_points_beyond_its_dictionary_is_damage, {}),
    (Mutant("what SHA256SUMS names is there", journal.recover, "_recover", "if missing:", "if False:"), damage.test_a_missing_segment_is_found, {}),
    (Mutant("the first failed sync is final", FrameOutput, "sync", "self._disk.sync(open_name(self.first_seq))", "_call_twice(self._disk.sync, open_name(self.first_seq))"), failing.test_a_call_that_fails_ends_the_writer_and_loses_nothing_acknowledged, {"verb": "sync"}),
    (Mutant("the first failed write is final", FrameOutput, "write", "self._disk.write(open_name(self.first_seq), frame)", "_call_twice(self._disk.write, open_name(self.first_seq), frame)"), failing.test_a_call_that_fails_ends_the_writer_and_loses_nothing_acknowledged, {"verb": "write"}),
    (Mutant("a sealer that failed ends the writer", Sealer, "_seal_all", "with FinalErrors(self._on_failure):", "with suppress(BaseException):"), failing.test_a_call_that_fails_ends_the_writer_and_loses_nothing_acknowledged, {"verb": "rename"}),
    (Mutant("what was sealed is read back", journal.seal, "write_sealed", "_compare_written(disk, temporary, stated)"), failing.test_a_disk_that_returns_other_bytes_loses_nothing, {}),
    (Mutant("one writer", journal.disk.RealDisk, "_lock", "return fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"), writing.test_one_writer_by_lock, {}),
]  # fmt: skip


def apply(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the function by its mutant in every module that imported it."""
    old = inspect.getattr_static(mutant.owner, mutant.function)
    text = textwrap.dedent(inspect.getsource(getattr(old, "__func__", old)))
    assert text.count(mutant.line) == 1, f"{mutant.function} is written otherwise now: so must be its mutant\n{text}"
    module = sys.modules[mutant.owner.__module__] if inspect.isclass(mutant.owner) else mutant.owner
    made: dict[str, Any] = {}
    exec(text.replace(mutant.line, mutant.instead), vars(module), made)
    if mutant.owner is not module:
        monkeypatch.setattr(mutant.owner, mutant.function, made[mutant.function])
        return
    for name, other in list(sys.modules.items()):
        if name.startswith("journal.") and vars(other).get(mutant.function) is old:
            monkeypatch.setattr(other, mutant.function, made[mutant.function])


def images_until_killed(tally: Tally, session: int = 0) -> str:
    tally.sessions = session
    while tally.images < IMAGES_MAX:
        try:
            for _ in tally.try_session(SEED, tally.sessions):
                pass
        except BrokenPromiseError as error:
            return str(error)
    return ""


@pytest.mark.slow
def test_without_a_mutant_the_crash_images_of_merges_break_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tests/test_journal_crash_images.py covers the sessions without merges."""
    monkeypatch.setattr(power_cuts, "MERGED", 1.0)
    assert images_until_killed(Tally(tmp_path)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [*BY_IMAGES, *BY_IMAGES_OF_MERGES], ids=lambda mutant: mutant.rule)
def test_the_crash_images_kill(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    apply(mutant, monkeypatch)
    monkeypatch.setattr(power_cuts, "MERGED", float(mutant in BY_IMAGES_OF_MERGES))
    tally = Tally(tmp_path)
    broken = images_until_killed(tally, mutant.session)
    print(f"\n{tally.images:5} images, until session {tally.sessions:3}: without {mutant.rule!r}: {broken[:150]}")
    record_property("images", tally.images)
    assert broken, f"nothing noticed that {mutant.rule!r} was gone"


@pytest.mark.parametrize(("mutant", "test", "given"), BY_TESTS, ids=[mutant.rule for mutant, *_ in BY_TESTS])
def test_the_test_beside_it_kills(
    mutant: Mutant,
    test: Callable[..., None],
    given: dict[str, Any],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = inspect.signature(test).parameters.keys() - given.keys()
    fixtures = {name: request.getfixturevalue(name) for name in needed}
    monkeypatch.setattr(journal.frame_output, "_call_twice", call_twice, raising=False)
    apply(mutant, monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception, JournalError, OSError, LookupError)):
        test(**fixtures, **given)


def call_twice(call: Callable[..., None], *args: Any) -> None:
    """Retry a failed call, as code does that trusts a second sync."""
    try:
        call(*args)
    except OSError:
        call(*args)
