"""Bundles: others can verify, query and replay them, redacted words are not in them, a bad one is one clear line."""

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from replaying import first_record, reseal, sealed, session

from engine.session_record import SessionBody
from journal.bundle import MANIFEST, BundleManifest, read_unpacked_manifest, unpack
from journal.errors import DamagedJournalError, JournalFailedError, NotAJournalError
from journal.merge import merge
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record, canonical
from journal.recover import recover
from journal.signing import Signer
from journal.trust_key import marked
from journal.verify import verify
from journal.writer import JournalWriter
from replay.redaction import Redaction
from replay.replay import replay_session
from replay.session_bundle import write_bundle
from verbatim.cli import main
from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, USAGE


def verbatim(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def output_of(result: Result, code: int = 0) -> str:
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a closed session with a CHECKPOINT every 100 inputs."""
    return sealed(tmp_path_factory.mktemp("journals") / "s", seconds=4)


def checkpoints(folder: Path) -> list[int]:
    return [record.seq for record in Journal.open(folder).records(kinds=[Kind.CHECKPOINT])]


def unpacked(path: Path, folder: Path) -> Path:
    unpack(path, folder)
    return folder


# ---- whole sessions ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_whole_session_keeps_its_segments_its_chain_and_its_signatures(tmp_path: Path) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=800, signer=signer)
    for seq in range(40):
        writer.append_step([Record(seq, seq, Kind.NOTE if seq else Kind.SESSION, "m", body="{}")], urgent=True)
        writer.wait_durable(seq, 60)
    writer.close()
    (tmp_path / "s" / "rows-000000000000.cache").write_bytes(b"a reader's")
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir() if path.suffix != ".cache"}
    output = output_of(verbatim("bundle", tmp_path / "s", tmp_path / "s.vbundle"))
    assert "the whole session, byte for byte" in output
    folder = unpacked(tmp_path / "s.vbundle", tmp_path / "back")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "README.txt", MANIFEST])
    assert verify(folder, signer=signer.public_key).problems == []
    output = output_of(verbatim("verify", tmp_path / "s.vbundle"))
    assert "a bundle of s: all of it; redacted: nothing" in output
    assert verify(tmp_path / "s").chain[:16] in output.splitlines()[-1]


@pytest.mark.slow
def test_a_bundle_is_queried_and_replayed_directly(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.vbundle"
    output_of(verbatim("bundle", whole, path))
    assert output_of(verbatim("replay", path, "--trust-code")).splitlines()[-1] == "replay: identical"
    count = json.loads(output_of(verbatim("sql", path, "SELECT count(*) AS n FROM records", "--json")))
    assert count == [{"n": Journal.open(whole).last_seq + 1}]
    assert json.loads(output_of(verbatim("ask", path, "--json"))) == json.loads(
        output_of(verbatim("ask", whole, "--json"))
    )
    assert "rows" in output_of(verbatim("export", path, tmp_path / "records.jsonl", "--kinds", "note"))


def test_bundles_are_deterministic_and_overwrite_nothing(whole: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(whole, tmp_path / f"{name}.vbundle", from_seq=checkpoints(whole)[3])
    assert (tmp_path / "a.vbundle").read_bytes() == (tmp_path / "b.vbundle").read_bytes()
    assert "exists already and is not overwritten" in output_of(
        verbatim("bundle", whole, tmp_path / "a.vbundle"), BAD_INPUT
    )
    assert "cannot be made" in output_of(verbatim("bundle", whole, tmp_path / "no" / "c.vbundle", "--to", 9), FAILED)
    assert "What to do: end it in .vbundle" in output_of(verbatim("bundle", whole, tmp_path / "a.zip"), BAD_INPUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vbundle", "b.vbundle"]


def test_the_readme_explains_the_bundle(whole: Path, tmp_path: Path) -> None:
    write_bundle(whole, tmp_path / "s.vbundle", from_seq=checkpoints(whole)[3])
    with zipfile.ZipFile(tmp_path / "s.vbundle") as packed:
        readme = packed.read("README.txt").decode()
    assert f"records {checkpoints(whole)[3]:,} to {Journal.open(whole).last_seq:,}" in readme
    assert verify(whole).chain in readme
    assert "verbatim replay FILE.vbundle --trust-code" in readme


# ---- slices --------------------------------------------------------------------------------------------

ENDS: dict[str, Callable[[list[int], int], tuple[int | None, int | None]]] = {
    "up to the middle": lambda at, _: (None, at[3] + 40),
    "the SESSION record's step": lambda _at, _last: (0, 0),
    "before any CHECKPOINT": lambda at, _: (at[0] - 1, at[1]),
    "from a CHECKPOINT": lambda at, last: (at[2], last),
    "between two": lambda at, _: (at[2] + 30, at[2] + 31),
    "from the middle to the end": lambda at, _: (at[4] + 17, None),
}


@pytest.mark.parametrize("ends", ENDS)
def test_a_slice_verifies_and_replays_from_its_start(whole: Path, tmp_path: Path, ends: str) -> None:
    journal, at = Journal.open(whole), checkpoints(whole)
    from_seq, to_seq = ENDS[ends](at, journal.last_seq)
    made = write_bundle(whole, tmp_path / "s.vbundle", from_seq=from_seq, to_seq=to_seq)
    assert made.first_seq == max((seq for seq in at if seq <= (from_seq or 0)), default=0)
    assert made.last_seq == journal.last_seq or next(journal.records(made.last_seq + 1)).kind in INPUTS, (
        "a step is never cut"
    )
    folder = unpacked(tmp_path / "s.vbundle", tmp_path / "back")
    report = verify(folder)
    assert report.problems == []
    assert any(verify(whole).chain in note for note in report.notes)
    slice_ = Journal.open(folder)
    rest = journal.records(max(made.first_seq, 1), made.last_seq)
    assert list(slice_.records()) == [journal.session_record(), *rest]
    assert list(slice_.records(1, made.first_seq - 1)) == []
    assert slice_.closed == (made.last_seq == journal.last_seq)
    verdict = replay_session(folder)
    assert verdict.identical, verdict.text()
    compared = sum(record.kind not in INPUTS for record in journal.records(made.first_seq + 1, made.last_seq))
    assert verdict.outputs == compared


def test_an_altered_slice_does_not_replay(whole: Path, tmp_path: Path) -> None:
    """Change a limit: the first order of the slice shows the difference."""
    at = checkpoints(whole)
    output_of(verbatim("bundle", whole, tmp_path / "s.vbundle", "--from", at[2]))
    words = ("replay", tmp_path / "s.vbundle", "--trust-code", "--set", "risk.order_size_max=0.0001", "--json")
    difference = json.loads(output_of(verbatim(*words), DIFFERS))["difference"]
    first = next(
        record
        for record in Journal.open(whole).records(at[2])
        if record.kind is Kind.VERDICT and "open_orders_max" in (record.body or "")  # of an order, not of a cancel
    )
    assert difference["seq"] == first.seq
    assert "order_size" in difference["what"]


def test_ask_reports_the_same_state_from_a_slice(whole: Path, tmp_path: Path) -> None:
    at = checkpoints(whole)
    path = tmp_path / "s.vbundle"
    output_of(verbatim("bundle", whole, path, "--from", at[2], "--to", at[4]))
    for seq in (at[2], at[2] + 33, at[4]):
        words = ("--at", seq, "--json", "--trust-code")
        assert output_of(verbatim("ask", path, *words)) == output_of(verbatim("ask", whole, *words))
    for moment in (at[2] - 1, next(Journal.open(whole).records(at[1])).time_ns):
        output = output_of(verbatim("ask", path, "--at", moment, "--trust-code"), BAD_INPUT)
        assert f"among records 1 to {at[2] - 1}, which this slice does not have" in output
    assert f"after record {at[2]} " not in output_of(verbatim("ask", path, "--at", 0, "--trust-code"))


def test_a_running_session_is_bundled_up_to_now(tmp_path: Path) -> None:
    running = session(tmp_path / "s", seconds=2)
    running.writer.wait_durable(running.records[-1].seq, 60)
    at = checkpoints(tmp_path / "s")
    made = write_bundle(tmp_path / "s", tmp_path / "s.vbundle", from_seq=at[1])
    running.stop()
    assert (made.whole, made.bundled_from) == (False, "0" * 64), "no segment of it was sealed"
    folder = unpacked(tmp_path / "s.vbundle", tmp_path / "back")
    assert replay_session(folder).identical
    assert list(Journal.open(folder).records(at[1])) == list(Journal.open(tmp_path / "s").records(at[1], made.last_seq))


def test_a_slice_of_an_import_begins_at_the_given_record(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text("".join(f'{{"ts":{n},"n":{n}}}\n' for n in range(1, 50)))
    words = ("--format", "ndjson", "--time-field", "ts", "--time-unit", "s", "--into", tmp_path / "s")
    output_of(verbatim("import", tmp_path / "f.jsonl", *words))
    output_of(verbatim("bundle", tmp_path / "s", tmp_path / "s.vbundle", "--from", 20, "--to", 22))
    assert "whole (4 records" in output_of(verbatim("verify", tmp_path / "s.vbundle"))
    query = "SELECT list(seq ORDER BY seq) AS seqs FROM records"
    assert json.loads(output_of(verbatim("sql", tmp_path / "s.vbundle", query, "--json"))) == [
        {"seqs": [0, 20, 21, 22]}
    ]


def test_no_session_continues_from_a_slice(whole: Path, tmp_path: Path) -> None:
    at = checkpoints(whole)
    write_bundle(whole, tmp_path / "s.vbundle", from_seq=at[2])
    folder = unpacked(tmp_path / "s.vbundle", tmp_path / "back")
    with pytest.raises(JournalFailedError, match="is a slice of a session, so no session can continue it"):
        recover(folder)
    with pytest.raises(JournalFailedError, match="is a slice of a session"):
        merge(folder)
    assert "is a slice itself" in output_of(verbatim("bundle", folder, tmp_path / "2.vbundle"), BAD_INPUT)
    write_bundle(whole, tmp_path / "3.vbundle", from_seq=at[3])
    other = unpacked(tmp_path / "3.vbundle", tmp_path / "other") / f"{at[3]:012d}.parquet"
    (folder / f"{at[2]:012d}.parquet").unlink()
    other.rename(folder / f"{at[2] + 1:012d}.parquet")
    assert not verify(folder).ok
    with pytest.raises(DamagedJournalError, match="missing"):
        list(Journal.open(folder).records())


# ---- redaction -----------------------------------------------------------------------------------------

HOST, ADDRESS = "0123456789abcdef", "https://gateway.desk-7.example:8443/v3"


@pytest.fixture(scope="module")
def identifiable(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the session with addresses, the alias and number of an account, and a path in a header."""
    root = tmp_path_factory.mktemp("telling")
    body = json.loads(Journal.open(whole).session_record().body or "")
    body |= {"account": "alpha-fund", "host": HOST}
    body["venues"][0] |= {"rest": ADDRESS, "private": "wss://gateway.desk-7.example/ws"}
    first = reseal(whole, root / "1", 0, body=canonical(body))
    answer = first_record(first, lambda record: record.kind is Kind.FEED and record.meta is not None)
    meta = json.loads(answer.meta or "")
    meta["headers"] |= {"via": "GATEWAY gateway.desk-7.example", "x-path": '/home/jo "é"/keys'}
    return reseal(first, root / "2", answer.seq, meta=canonical(meta))


def contents(path: Path, folder: Path) -> bytes:
    """Return all bytes of a bundle, decompressed."""
    journal = Journal.open(unpacked(path, folder))
    records = [
        msgspec.json.encode(record) + (record.payload or b"") + (record.meta or "").encode()
        for record in journal.records()
    ]
    begins = [found.read_bytes() for found in folder.glob("begin.state")]
    return b"\n".join([*records, *begins, (folder / "README.txt").read_bytes(), (folder / MANIFEST).read_bytes()])


@pytest.mark.parametrize("from_checkpoint", [None, 2])
def test_redacted_words_are_nowhere_and_the_bundle_replays(
    identifiable: Path, tmp_path: Path, from_checkpoint: int | None
) -> None:
    number = re.search(
        rb'"uid":(\d+)', b"".join(record.payload or b"" for record in Journal.open(identifiable).records())
    )
    assert number is not None
    secrets = (b"alpha-fund", HOST.encode(), b"desk-7", b":8443", b'"uid":' + number[1], b"home/jo", b"Quoter")
    words = () if from_checkpoint is None else ("--from", checkpoints(identifiable)[from_checkpoint])
    output_of(verbatim("bundle", identifiable, tmp_path / "open.vbundle"))
    before = contents(tmp_path / "open.vbundle", tmp_path / "open")
    assert all(secret in before for secret in secrets), "the test would see them"
    hiding = ("--redact", "account,host,addresses", "--hide", '/home/jo "é"/keys', "--hide", "Quoter")
    output = output_of(verbatim("bundle", identifiable, tmp_path / "s.vbundle", *words, *hiding))
    assert "redacted: account, host, addresses, 2 texts" in output
    after = contents(tmp_path / "s.vbundle", tmp_path / "back")
    assert [secret for secret in secrets if secret in after] == []
    body = json.loads(Journal.open(tmp_path / "back").session_record().body or "")
    assert (body["account"], body["host"], body["venues"][0]["rest"]) == ("redacted", "", "https://redacted.invalid/v3")
    output = output_of(verbatim("verify", tmp_path / "s.vbundle"))
    assert "redacted: account, host, addresses, 2 texts" in output
    assert f"cut from a journal with chain {verify(identifiable).chain}" in output
    assert output_of(verbatim("replay", tmp_path / "s.vbundle", "--trust-code")).splitlines()[-1] == "replay: identical"


def test_a_redaction_without_matches_changes_nothing(whole: Path, tmp_path: Path) -> None:
    """Redact a word that does not occur: rewritten CHECKPOINTs equal those of the engine."""
    made = write_bundle(whole, tmp_path / "s.vbundle", make_redaction=lambda first: Redaction(first, (), ("nowhere",)))
    assert not made.whole
    assert list(Journal.open(unpacked(tmp_path / "s.vbundle", tmp_path / "back")).records()) == list(
        Journal.open(whole).records()
    )
    assert verify(tmp_path / "back").chain == verify(whole).chain


def test_amounts_are_not_redacted_and_unknown_names_are_refused(whole: Path, tmp_path: Path) -> None:
    assert "of account, host, addresses" in output_of(
        verbatim("bundle", whole, tmp_path / "s.vbundle", "--redact", "balances"), USAGE
    )
    assert "--hide needs a text" in output_of(verbatim("bundle", whole, tmp_path / "s.vbundle", "--hide", ""), USAGE)
    output_of(verbatim("bundle", whole, tmp_path / "s.vbundle", "--redact", "account"))
    balances = "SELECT count(*) AS n FROM balances"
    ours, theirs = (output_of(verbatim("sql", found, balances, "--json")) for found in (whole, tmp_path / "s.vbundle"))
    assert ours == theirs


# ---- trust ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_bundle_needs_trust_code_for_any_host(whole: Path, tmp_path: Path) -> None:
    body = json.loads(Journal.open(whole).session_record().body or "")
    ours = reseal(whole, tmp_path / "ours", 0, body=canonical(marked(msgspec.convert(body, SessionBody))))
    for name, redact in (("a", ()), ("b", ("--redact", "host"))):
        output_of(verbatim("bundle", ours, tmp_path / f"{name}.vbundle", *redact))
        output = output_of(verbatim("replay", tmp_path / f"{name}.vbundle"), BAD_INPUT)
        assert "comes as a bundle, and a replay runs the code of its strategies (quoter)" in output
    output_of(verbatim("bundle", ours, tmp_path / "c.vbundle", "--from", checkpoints(ours)[2], "--redact", "host"))
    output = output_of(verbatim("ask", tmp_path / "c.vbundle"), BAD_INPUT)
    assert "with a state that was not made on this machine" in output
    assert output_of(verbatim("sql", tmp_path / "c.vbundle", "FROM modes"))


def rewritten(
    path: Path, target: Path, change: Callable[[str, bytes], bytes], *, honest: bool = True, **manifest: Any
) -> Path:
    """Return the bundle with other members; if `honest`, its manifest has their hashes."""
    with zipfile.ZipFile(path) as old:
        members = {name: change(name, old.read(name)) for name in old.namelist()}
    if honest:
        said_before = msgspec.json.decode(members[MANIFEST], type=BundleManifest)
        files = tuple(
            msgspec.structs.replace(
                each, bytes=len(members[each.name]), sha256=hashlib.sha256(members[each.name]).hexdigest()
            )
            for each in said_before.files
        )
        members[MANIFEST] = msgspec.json.encode(msgspec.structs.replace(said_before, files=files, **manifest))
    with zipfile.ZipFile(target, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    return target


def test_the_state_of_a_slice_must_have_the_digests_of_its_checkpoint(whole: Path, tmp_path: Path) -> None:
    at = checkpoints(whole)
    write_bundle(whole, tmp_path / "a.vbundle", from_seq=at[2])
    write_bundle(whole, tmp_path / "b.vbundle", from_seq=at[3])
    with zipfile.ZipFile(tmp_path / "b.vbundle") as other:
        state = other.read("journal/begin.state")
    for name, data in (("swapped", state), ("cut", state[:99]), ("none", b"")):
        path = rewritten(
            tmp_path / "a.vbundle",
            tmp_path / f"{name}.vbundle",
            lambda member, old, data=data: data if member == "journal/begin.state" else old,
        )
        assert "verify: whole" in output_of(verbatim("verify", path)), "the records are"
        output = output_of(verbatim("replay", path, "--trust-code"), DIFFERS)
        assert f"its digests are not those of the CHECKPOINT (record {at[2]})" in output


# ---- bad bundles ---------------------------------------------------------------------------------------


def small(folder: Path) -> Path:
    writer = JournalWriter.create(folder / "small")
    writer.append_step([Record(seq, seq, Kind.NOTE if seq else Kind.SESSION, "m", body='{"a":1}') for seq in range(9)])
    writer.close()
    write_bundle(folder / "small", folder / "small.vbundle")
    return folder / "small.vbundle"


@pytest.mark.slow
def test_every_damaged_byte_is_found_or_without_effect(tmp_path: Path) -> None:
    path = small(tmp_path)
    data = path.read_bytes()
    wanted = {found.name: found.read_bytes() for found in unpacked(path, tmp_path / "wanted").iterdir()}
    found = 0
    damaged = [data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :] for at in range(0, len(data), 17)]
    for number, bad in enumerate([*damaged, *(data[:at] for at in range(0, len(data), 211)), data + b"more"]):
        path.write_bytes(bad)
        folder = tmp_path / f"{number}"
        with suppress(DamagedJournalError, NotAJournalError):
            unpack(path, folder)
            assert {each.name: each.read_bytes() for each in folder.iterdir()} == wanted
            continue
        found += 1
    assert found > len(damaged) * 0.8
    path.write_bytes(data[:-200])
    for command in ("verify", "replay", "sql", "ask"):
        assert len(output_of(verbatim(command, path), DIFFERS).splitlines()) == 1
    path.write_bytes(b"no bundle at all")
    for command in ("verify", "backtest"):
        told = output_of(verbatim(command, path), BAD_INPUT)
        assert "is not a bundle" in told
        assert f"if it is a capture of market data, verbatim import {path} makes a session of it" in told


def with_member(path: Path, target: Path, info: zipfile.ZipInfo, data: bytes) -> Path:
    target.write_bytes(path.read_bytes())
    with zipfile.ZipFile(target, "a") as new:
        new.writestr(info, data)
    return target


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/evil",
        "journal/../../evil",
        "journal/sub/000000000009.parquet",
        "C:\\evil",
        "journal/evil.parquet",
        "README.txt/",
        "",
    ],
)  # fmt: skip
def test_an_unknown_member_is_refused(tmp_path: Path, name: str) -> None:
    path = with_member(small(tmp_path), tmp_path / "bad.vbundle", zipfile.ZipInfo(name), b"evil")
    with pytest.raises(DamagedJournalError, match="is not a member of bundles"):
        unpack(path, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_unnamed_linked_and_compressed_members_are_refused(tmp_path: Path) -> None:
    path = small(tmp_path)

    def refused(bad: Path, what: str) -> None:
        with pytest.raises(DamagedJournalError, match=what):
            unpack(bad, tmp_path / "back")
        assert not (tmp_path / "back").exists()

    refused(with_member(path, tmp_path / "1", zipfile.ZipInfo("README.txt"), b"again"), "or occurs twice")
    refused(
        with_member(path, tmp_path / "2", zipfile.ZipInfo("journal/000000000009.parquet"), b"PAR1"),
        "its list of files differs from the members",
    )
    link = zipfile.ZipInfo("journal/000000000009.parquet")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(with_member(path, tmp_path / "3", link, b"/etc/passwd"), "its list of files differs from the members")
    bomb = zipfile.ZipInfo("journal/000000000009.parquet")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    refused(with_member(path, tmp_path / "4", bomb, bytes(50_000_000)), "is compressed or encrypted")
    same = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(same)) as packed:
        size = next(
            member.file_size for member in packed.infolist() if member.filename == "journal/000000000000.parquet"
        )
    overlapping = same.replace(size.to_bytes(4, "little"), (1 << 31).to_bytes(4, "little"))
    assert overlapping != same
    (tmp_path / "5").write_bytes(overlapping)
    refused(tmp_path / "5", "larger than the file|has two sizes|differ|overlap")
    refused(rewritten(path, tmp_path / "6", lambda _, data: data, version=2), "version 2, which needs a later verbatim")
    evil = rewritten(path, tmp_path / "8", lambda _, data: data, session="x\x1b[2J")
    refused(evil, "one of its texts is not printable")
    for number, stated in enumerate(({"whole": False}, {"last_seq": 99}, {"first_seq": 3}, {"bundled_from": "00"})):
        claimed = rewritten(path, tmp_path / f"claim{number}", lambda _, data: data, **stated)
        with pytest.raises(DamagedJournalError, match="its range of the session differs from the segments'"):
            unpack(claimed, tmp_path / f"back{number}")
    refused(
        rewritten(path, tmp_path / "7", lambda name, data: data[:9] if name == MANIFEST else data, honest=False),
        "manifest.json",
    )


def test_a_swapped_segment_is_found_by_manifest_and_journal(tmp_path: Path) -> None:
    path = small(tmp_path)

    def change(name: str, data: bytes) -> bytes:
        return data[:300] + bytes([data[300] ^ 1]) + data[301:] if name.endswith(".parquet") else data

    output = output_of(verbatim("verify", rewritten(path, tmp_path / "1.vbundle", change, honest=False)), DIFFERS)
    assert "journal/000000000000.parquet: its bytes differ from the manifest" in output
    assert "verify: damaged" in output_of(verbatim("verify", rewritten(path, tmp_path / "2.vbundle", change)), DIFFERS)


def test_a_damaged_session_is_not_bundled(whole: Path, tmp_path: Path) -> None:
    path = small(tmp_path)
    segment = tmp_path / "small" / "000000000000.parquet"
    data = bytearray(segment.read_bytes())
    data[300] ^= 1
    segment.write_bytes(data)
    assert "000000000000.parquet" in output_of(verbatim("bundle", tmp_path / "small", tmp_path / "2.vbundle"), DIFFERS)
    assert "is not a moment of the session" in output_of(
        verbatim("bundle", whole, tmp_path / "3.vbundle", "--to", 10**6), BAD_INPUT
    )
    assert sorted(found.name for found in tmp_path.iterdir()) == ["small", path.name]
    assert read_unpacked_manifest(tmp_path / "small") is None
