"""Options that several commands share, and checks that click does not make."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

LAST = "last"  # the name of the newest session


def session_argument(name: str = "session", **settings: Any) -> Callable[[F], F]:
    """Return an argument that names a session, or several, and that the shell completes."""
    return click.argument(name, shell_complete=complete_session, **settings)


def complete_file(_context: click.Context, _parameter: click.Parameter, begun: str) -> "list[CompletionItem[str]]":
    """Leave a value that begins with the name of a file, as FILE:CLASS, to the shell."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(begun, type="file")]


def complete_session(context: click.Context, _argument: click.Parameter, begun: str) -> "list[CompletionItem[str]]":
    """Return the ids in --journals that begin as typed, the newest first. A path is left to the shell."""
    from click.shell_completion import CompletionItem

    from journal.session_names import list_sessions

    if "/" in begun or begun.startswith("."):
        return [CompletionItem(begun, type="file")]
    sessions = list_sessions(Path(context.params.get("journals") or "journals"))
    started = {each.session_id: f"{each.start:%Y-%m-%d %H:%M:%S}" for each in reversed(sessions)}
    names = ({LAST: "the newest"} | started) if sessions else {}
    return [CompletionItem(name, help=text) for name, text in names.items() if name.startswith(begun)]


journals_option = click.option(
    "--journals",
    type=click.Path(path_type=Path),
    default=Path("journals"),
    show_default=True,
    help="Folder of the sessions.",
)


AGE_SECONDS_MAX = 10.0  # a running session writes some record each second; examples/monitoring has the same limit


def max_age_option(text: str) -> Callable[[F], F]:
    """Return the option `--max-age SECONDS` as parameter `max_age`."""
    seconds = click.FloatRange(0, 1e9, min_open=True)
    return click.option("--max-age", type=seconds, default=AGE_SECONDS_MAX, show_default=True, help=text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


balance_option = click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="Opening balance of the account, where the session states none.",
)


def check_finite(_context: click.Context, _option: click.Parameter, number: float | None) -> float | None:
    """Refuse NaN and infinity, which pass a click.FloatRange."""
    if number is not None and not isfinite(number):
        raise click.BadParameter(f"{number} is not a finite number")
    return number


def duration_option(text: str) -> Callable[[F], F]:
    """Return the option `--duration SECONDS` as parameter `seconds`, with its old spelling `--for` hidden."""
    seconds = click.FloatRange(0, 1e9, min_open=True)

    def add(command: F) -> F:
        old = click.option("--for", "seconds_old", type=seconds, callback=check_finite, hidden=True)
        new = click.option("--duration", "seconds", metavar="SECONDS", type=seconds, callback=check_finite, help=text)
        return new(old(command))

    return add


def log_options(command: F) -> F:
    """Add the options of the log, which override the configuration's section `log`."""
    form = click.option(
        "--log", "log_form", type=click.Choice(["console", "json"]), help="Form of the log. Default: console."
    )
    level = click.option(
        "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least level. Default: info."
    )
    return form(level(command))
