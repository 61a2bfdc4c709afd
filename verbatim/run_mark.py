"""The mark of a run that failed: a file beside the account's lock, until a session of the account begins.

`verbatim run` makes it, so a watcher of the folder learns of a trader whose start fails again and again.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from engine.live.account_lock import FOLDER, lock_name
from journal.private_files import make_folder, write_bytes
from verbatim.exit_codes import BAD_INPUT, FAILED, StoppedError

PREFIX = "failed-"
UNKNOWN = "unknown"  # in place of the account, if the configuration cannot be read
NOTED = (BAD_INPUT, FAILED)  # another code means that a person ended it, or that a session of the account runs
TEXT_MAX = 500


class FailedRun(msgspec.Struct, frozen=True):
    """A run that ended with an error, and no session has begun since."""

    at_ns: int  # by the wall clock
    text: str  # what the command printed
    account: str = ""  # "": the configuration cannot be read
    venue: str = ""
    others: dict[str, str] = {}  # venue -> account, of a trader of several

    @property
    def about(self) -> str:
        """The trader that was to run."""
        if not self.account:
            return "a trader of this folder"
        accounts = {self.venue: self.account, **self.others}
        return f"account {', '.join(f'{account} at {venue}' for venue, account in accounts.items())}"


class RunMark:
    """The mark of one run. Its folder and its accounts are known once the configuration is read."""

    def __init__(self, journals: Path | None) -> None:
        self._journals = journals
        self._accounts: dict[str, str] = {}

    def identify(self, journals: Path, accounts: Mapping[str, str]) -> None:
        """Set the folder and the accounts, by venue. The configuration can be read: a mark without one is over."""
        self._journals, self._accounts = journals, dict(accounts)
        self._unlink(UNKNOWN)

    def remove(self) -> None:
        """Delete the marks of these accounts: a session begins."""
        for venue, account in self._accounts.items():
            self._unlink(lock_name(venue, account))

    def make(self, text: str) -> None:
        """Write the mark. A folder that cannot be written changes nothing: the run has failed anyway."""
        if self._journals is None:
            return
        venue, account = next(iter(self._accounts.items()), ("", ""))
        others = {name: alias for name, alias in self._accounts.items() if name != venue}
        name = lock_name(venue, account) if account else UNKNOWN
        found = FailedRun(time.time_ns(), text[:TEXT_MAX], account, venue, others)
        with suppress(OSError):
            path = self._journals / FOLDER / f"{PREFIX}{name}"
            make_folder(path.parent)
            write_bytes(path, msgspec.json.encode(found))

    def _unlink(self, name: str) -> None:
        if self._journals is not None:
            with suppress(OSError):
                (self._journals / FOLDER / f"{PREFIX}{name}").unlink(missing_ok=True)


@contextmanager
def marked_run(journals: Path | None) -> Iterator[RunMark]:
    """Write the mark if the command ends with an error.

    Args:
        journals: The folder of the journals, if the command line names it.
    """
    mark = RunMark(journals)
    try:
        yield mark
    except StoppedError as error:
        if error.code in NOTED and not isinstance(error.__context__, KeyboardInterrupt):
            mark.make(error.text)
        raise
    except Exception as error:
        mark.make(f"a fault of Verbatim: {type(error).__name__}")
        raise


def failed_runs(journals: Path) -> list[FailedRun]:
    """Return the runs of a folder that failed without a session since, by account. A mark that is torn is left out."""
    found = []
    with suppress(OSError):
        for path in sorted((journals / FOLDER).glob(f"{PREFIX}*")):
            with suppress(OSError, msgspec.MsgspecError, ValueError):
                found.append(msgspec.json.decode(path.read_bytes(), type=FailedRun))
    return found
