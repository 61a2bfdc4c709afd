"""Imports of captures: which sessions are imports, and a refusal where decisions are needed."""

import msgspec

from journal.errors import JournalError
from journal.reader import Journal


def is_import(journal: Journal) -> bool:
    """Return True if the journal was imported from a capture."""
    return "import" in msgspec.json.decode(journal.session_record().body or "{}", type=dict[str, msgspec.Raw])


def refuse_import(journal: Journal) -> None:
    """Refuse an import where decisions are needed.

    Raises:
        JournalError: The journal is an import.
    """
    if is_import(journal):
        raise JournalError(
            f"{journal.folder} is an import: it holds market data and no decisions. What to do: query it with verbatim "
            "sql, or trade it with verbatim backtest --strategy FILE."
        )
