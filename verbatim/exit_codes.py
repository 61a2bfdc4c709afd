"""Exit codes, and the one line that ends a command. Documented in docs/command-line.md; scripts rely on them."""

from typing import NoReturn

from journal.printable import in_one_line
from verbatim.terminal import echo

OK = 0
DIFFERS = 1  # a replay differs, a journal is damaged, a check failed: the answer is "no"
USAGE = 2  # click's own: wrong options or arguments
BAD_INPUT = 3  # a file, configuration, strategy or session that cannot be used
FAILED = 4  # the venue, the network or the disk failed
LOCKED = 5  # another engine trades this account, or another process writes this journal
HALTED = 6  # a session ended in order, but halted: a person must check its reasons and resume
STOPPED = 7  # a strategy of a backtest was stopped by its own error: the rest of its figures is that of no strategy
CRASHED = 70  # a fault of ours: the traceback says where


class StoppedError(SystemExit):
    """The end of a command, with its code and the line that it printed."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code)
        self.text = text


def stop(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Print one line on stderr and exit with a code. A line break in the message, as of a venue's text, is a space."""
    message = in_one_line(message)
    echo(f"verbatim: {message}", err=True)
    raise StoppedError(code, message)
