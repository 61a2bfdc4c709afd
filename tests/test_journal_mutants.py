"""Each rule of the journal, removed in turn: something must notice. A test that no mutant fails proves nothing.

A mutant is one of our functions with one line of it written otherwise. Most must be killed by the driver of the crash images
within a bounded number of them; the rest by the test named beside it. One rule has no mutant here, since no promise hangs by it: the
folder's last sync of a recovery (what it unlinked may come back, and is unlinked by the next).
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from power_cuts import Broken, Tally

import journal.frames
import journal.recover
import journal.seal
from journal.writer import JournalWriter

IMAGES_MAX = 3_000
SEED = "mutants"


class Mutant(NamedTuple):
    rule: str  # that it breaks
    owner: Any  # a module or a class
    function: str
    line: str
    instead: str = "pass"


BY_IMAGES = [
    Mutant("sync before acknowledging", JournalWriter, "_make_durable", "self._disk.sync(open_name(self._segment_first_seq))"),
    Mutant("acknowledge what was written, not what waits", JournalWriter, "_make_durable", "self._durable_seq = self._written_seq", "self._durable_seq = self._next_seq - 1"),
    Mutant("a token only for what is durable", JournalWriter, "durable", "seq <= self._durable_seq", "seq <= self._written_seq"),
    Mutant("a frame vouches only for what was synced", JournalWriter, "_write", "encode(records, self._durable_seq)", "encode(records, self._written_seq)"),
    Mutant("sync the folder before the session begins", JournalWriter, "create", "disk.sync_folder()"),
    Mutant("sync the folder after a new segment", JournalWriter, "_roll", "self._disk.sync_folder()"),
    Mutant("sync the old segment before a new one", JournalWriter, "_roll", "if self._durable_seq != self._written_seq:", "if False:"),
    Mutant("sync the sealed file before its rename", journal.seal, "seal", "disk.sync(temporary)"),
    Mutant("seal under another name", journal.seal, "seal", 'f"{first_seq:012d}.tmp"', "sealed_name(first_seq)"),
    Mutant("sync the folder before unlinking the open segment", journal.seal, "seal", "disk.sync_folder()"),
    Mutant("unlink the open segment", journal.seal, "seal", "disk.unlink(name)"),
    Mutant("note the checksum of what was sealed", journal.seal, "seal", "note_checksum(disk, sealed, written.checksum)"),
    Mutant("sync the checksums before their rename", journal.seal, "note_checksum", "disk.sync(temporary)"),
    Mutant("check the checksum of a frame", journal.frames, "frame_at", " or crc32(body, crc32(header[_CHECKED_FROM:])) != crc", ""),
    Mutant("a tear is no damage", journal.recover, "_refuse_damage", "if tail.next_seq <= durable_seq:", "if tail.torn_bytes:"),
    Mutant("half a seal is not kept", journal.recover, "_recover", 'if name.endswith(".tmp"):', "if False:"),
    Mutant("the twin of a sealed segment goes", journal.recover, "_recover", "disk.unlink(open_name(seq))"),
    Mutant("sync the folder before unlinking a twin", journal.recover, "_recover", "disk.sync_folder()\n            disk.unlink", "disk.unlink"),
    Mutant("a checksum that a crash left out is noted", journal.recover, "_recover", "note_checksum(disk, sealed_name(seq), sha256(whole(disk.reading(sealed_name(seq)))))"),
]  # fmt: skip


def apply(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written otherwise wherever it was imported to."""
    old = inspect.getattr_static(mutant.owner, mutant.function)
    text = textwrap.dedent(inspect.getsource(getattr(old, "__func__", old)))
    assert text.count(mutant.line) == 1, f"{mutant.function} is written otherwise now: so must be its mutant\n{text}"
    module = sys.modules[mutant.owner.__module__] if inspect.isclass(mutant.owner) else mutant.owner
    made: dict[str, Any] = {}
    exec(text.replace(mutant.line, mutant.instead), vars(module), made)  # noqa: S102 - our own source
    if mutant.owner is not module:
        monkeypatch.setattr(mutant.owner, mutant.function, made[mutant.function])
        return
    for name, other in list(sys.modules.items()):
        if name.startswith("journal.") and vars(other).get(mutant.function) is old:
            monkeypatch.setattr(other, mutant.function, made[mutant.function])


def images_until_killed(tally: Tally) -> str:
    while tally.images < IMAGES_MAX:
        try:
            for _ in tally.try_session(SEED, tally.sessions):
                pass
        except Broken as error:
            return str(error)
    return ""


@pytest.mark.parametrize("mutant", BY_IMAGES, ids=lambda mutant: mutant.rule)
def test_the_crash_images_kill(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    apply(mutant, monkeypatch)
    tally = Tally(tmp_path)
    said = images_until_killed(tally)
    print(f"\n{tally.images:5} images, {tally.sessions:3} sessions: without {mutant.rule!r}: {said[:150]}")
    record_property("images", tally.images)
    assert said, f"nothing noticed that {mutant.rule!r} was gone"
