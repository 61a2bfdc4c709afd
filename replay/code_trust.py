"""Trust in recorded code and states: a replay runs code of strangers only if its user allows it."""

from pathlib import Path
from typing import NoReturn

from engine.session_record import SessionBody
from journal.trust_key import is_trusted


class UntrustedSourceError(Exception):
    """The strategies were not recorded on this machine, and the user did not allow their code to run."""


def refuse_untrusted_state(name: str) -> NoReturn:
    """Refuse a slice, because compiled code folds its state without checking its numbers. No mark covers that state.

    Raises:
        UntrustedSourceError: Always.
    """
    raise UntrustedSourceError(
        f"{name} begins in the middle of a session, with a state that was not made on this machine. "
        "What to do: read it with verbatim sql, export and verify, or add --trust-code if you trust its maker."
    )


def refuse_untrusted_code(session: SessionBody, trust_key: bytes, folder: Path) -> None:
    """Refuse to run the strategies of a session that does not bear the mark of a key.

    Raises:
        UntrustedSourceError: The session has strategies or rules of a user, and not this mark.
    """
    has_code = bool(session.strategies) or any(rule.module for rule in session.rules)
    if has_code and not is_trusted(session, trust_key):
        names = ", ".join(strategy.name for strategy in session.strategies)
        raise UntrustedSourceError(
            f"{folder} was recorded on another machine, by another user or by an earlier version, is an archive or "
            f"comes as a bundle, and a replay runs the code of its strategies ({names}). "
            "What to do: read the code first (verbatim ask, sql and verify do not run it), then add --trust-code."
        )
