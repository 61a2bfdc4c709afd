"""The table of commands. Loads no heavy package: each command imports what it needs in its body."""

import os
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

import click

from verbatim import check_packages
from verbatim.exit_codes import CRASHED, FAILED, stop
from verbatim.terminal import echo

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, str] = {  # name -> one-line help; the command `name` is `command` in verbatim/commands/<name>.py
    "demo": "Trade against a simulated venue, then replay the session.",
    "run": "Run a session live from a configuration file.",
    "new": "Write a strategy, its configuration and a test that replays.",
    "check": "Check keys, rights, clock, limits and addresses at the venue; sends no order.",
    "record": "Record market streams without trading: no account, no key.",
    "replay": "Repeat a recorded session and compare every output.",
    "backtest": "Trade a capture or a session's market against the simulated venue.",
    "resim": "Resimulate a session with another version, parameter or limit.",
    "shadow": "Follow a running session with another version that sends nothing.",
    "regress": "Compare strategy versions on recorded sessions.",
    "sweep": "Backtest variants of a strategy, ranked, with guards against overfitting.",
    "lookahead": "Check that no decision depends on later records.",
    "fidelity": "Compare the simulated venue with the real one, order by order.",
    "bisect": "Find the commit that changed the decisions of a strategy.",
    "diff": "Show where two sessions first differ, and in which kind of record.",
    "pnl": "Show a session's P&L by strategy, instrument, account or portfolio.",
    "quality": "Show a session's data quality: gaps, missing ids, silence, lag, by stream.",
    "reconcile": "Show a session's reconciliations: queries, findings, changes.",
    "verify": "Prove that a session's journal is whole.",
    "ask": "Show the engine's state at a record or a time.",
    "sql": "Query a session with DuckDB SQL.",
    "why": "Show the chain of records behind an order.",
    "sessions": "List recorded sessions.",
    "status": "Show the running sessions: mode, open orders, positions, guard, disk; with exit codes for scripts.",
    "cockpit": "Show sessions in the browser, finished or running.",
    "metrics": "Serve a session's metrics for Prometheus.",
    "traces": "Export a session's intents, orders and fills as OpenTelemetry traces.",
    "alerts": "Watch sessions from a separate process, and send alerts.",
    "report": "Write a session's page into one HTML file.",
    "mcp": "Serve read-only tools that explain sessions to an assistant.",
    "recover": "Seal the journal of a session that crashed.",
    "merge": "Merge a session's many small segments into a few large ones.",
    "venue": "Start the simulated venue alone.",
    "compile": "Compile the market's code before the first session, for the user or for an image.",
    "download": "Download a venue's public archives, with their checksums.",
    "import": "Import captures of other tools as sessions.",
    "export": "Write a session's records, or all its views, to files.",
    "bundle": "Pack a session, or a slice of it, into one file to share.",
    "prune": "Delete the oldest sessions, whole.",
    "archive": "Copy a sealed session to object storage or another folder.",
    "catalogue": "Make the catalogue of archived sessions again.",
    "fetch": "Copy an archived session back.",
    "kill": "Halt, cancel every own order, flatten if ordered; exit code 0 only if nothing is open.",
    "guard": "Cancel our orders when the trader's heartbeat stops: a second process.",
    "completion": "Print the script that completes commands in bash, zsh or fish.",
    "control": "Send a session a command: pause, resume, halt, cancel_all, flatten, reconcile, stop, accept-balance.",
}
OLD_NAMES = {"forget": "prune", "tell": "control"}  # they keep working in scripts, and are not listed


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, and never for --help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names that --help lists."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command by its name or by an old name."""
        name = OLD_NAMES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        try:
            check_packages()
        except ImportError as error:
            stop(str(error), FAILED)
        command: click.Command = import_module(f"verbatim.commands.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name. click cannot suggest one, since it knows none before its import."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from engine.suggestions import suggestion

            raise click.UsageError(f"No such command {args[0]!r}.{suggestion(args[0], COMMANDS)}", ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Return the commands that begin as typed, without importing them, or the options of `verbatim` itself."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; end with one line where Ctrl-C interrupts the loading of packages or a reading command.

        Every file that a command creates is for its owner alone.
        """
        before = os.umask(0o077)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stop("interrupted", FAILED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - any fault: Python would exit with 1, which means "differs"
            from engine.errors import NewerSessionError
            from engine.venues.venue_lookup import UnknownVenueError

            if isinstance(error, (NewerSessionError, UnknownVenueError)):
                stop(str(error))
            echo(traceback.format_exc(), err=True, nl=False)
            stop("this is a fault of Verbatim; the lines above say where", CRASHED)
        finally:
            os.umask(before)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="verbatim-trading")
def main() -> None:
    """Trade with a flight recorder: any session can be repeated word for word."""
