"""Many sessions from a few: the records of one at another time, under another id. They are read, never replayed."""

from pathlib import Path

import msgspec

from journal.reader import Journal
from journal.record import Kind, Record
from journal.writer import JournalWriter


def read_records(folder: Path) -> list[Record]:
    """Return all records of a session, to be written again and again."""
    return list(Journal.open(folder).records())


def move_session(records: list[Record], target: Path, *, shift_ns: int, symbol: tuple[str, str] | None = None) -> Path:
    """Write records as a session with the id that the target's name ends with, `shift_ns` later.

    Args:
        records: Those of the source.
        target: The new folder.
        shift_ns: Added to session time and receive time.
        symbol: A symbol and the one that takes its place.
    """
    name = target.name.rpartition("-")[2]
    writer = JournalWriter.create(target, sync=False)
    moved = [_moved(record, shift_ns, name, symbol) for record in records]
    for at in range(0, len(moved), 512):
        writer.append_step(moved[at : at + 512])
    writer.close()
    return target


def _moved(record: Record, shift_ns: int, name: str, symbol: tuple[str, str] | None) -> Record:
    body, payload = record.body, record.payload
    if symbol is not None:
        body = None if body is None else body.replace(*symbol)
        old, new = symbol
        payload = None if payload is None else payload.replace(old.encode(), new.encode())
    if record.kind is Kind.SESSION:
        fields = msgspec.json.decode(body or "{}")
        body = msgspec.json.encode({**fields, "session": name}).decode()
    received = None if record.recv_ns is None else record.recv_ns + shift_ns
    return msgspec.structs.replace(
        record, time_ns=record.time_ns + shift_ns, recv_ns=received, body=body, payload=payload
    )
