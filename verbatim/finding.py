"""How a command finds the session it was given: journal/sessions.py, and what to do where there is none."""

from pathlib import Path


def find(journals: Path, session: str) -> Path:
    """The folder of a session, by path or id. UnknownSession names the command that lists them."""
    import shlex

    from journal.errors import UnknownSession
    from journal.sessions import find_session

    try:
        return find_session(journals, session)
    except UnknownSession as error:
        if not journals.is_dir():
            raise UnknownSession(f"{error} What to do: name the folder of the sessions with --journals.") from None
        command = shlex.join(["verbatim", "sessions", "--journals", str(journals)])
        raise UnknownSession(f"{error} What to do: {command} lists those there are.") from None
