"""The command line's table of contents. Loads no heavy package: each command's module imports what it needs in its body."""

from importlib import import_module

import click

from verbatim.exit_codes import FAILED, stop

COMMANDS: dict[str, str] = {  # name -> one-line help; the command `name` is `command` in verbatim/commands/<name>.py
    "demo": "Trade against a simulated venue, then replay it: the tour.",
    "run": "Run a session live from a configuration file.",
    "record": "Record market streams without trading: no account, no key.",
    "replay": "Repeat a recorded session and compare every output.",
    "resim": "Resimulate a session with another version, parameter or limit.",
    "shadow": "Follow a running session with another version that sends nothing.",
    "regress": "Hold versions of a strategy against recorded sessions.",
    "lookahead": "Ask whether a decision depends on what came later.",
    "fidelity": "Hold the simulated venue against the real one, order by order.",
    "bisect": "Find the commit that changed what a strategy decides.",
    "diff": "Say where two sessions part, and in what.",
    "verify": "Prove that a session's journal is whole.",
    "ask": "Show what the engine believed at a record or a time.",
    "sql": "Query a session with DuckDB SQL.",
    "why": "Show the chain of records behind an order.",
    "sessions": "List recorded sessions.",
    "recover": "Seal what a crash left of a session.",
    "merge": "Make few large segments of a session's many small ones.",
    "venue": "Start the simulated venue alone.",
    "import": "Make a session of captures of other tools.",
    "export": "Write a session's records, or all its views, to files.",
    "bundle": "Make one file of a session, or a slice of it, to send to somebody.",
    "forget": "Drop the oldest sessions, whole.",
    "archive": "Copy a sealed session to object storage or another folder.",
    "fetch": "Bring an archived session back.",
    "tell": "Give a running session a command: pause, resume, halt, cancel_all, reconcile, stop.",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are used, and never for --help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"verbatim.commands.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Ctrl-C where nobody waits for it: while packages load, or in a command that only reads."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stop("interrupted", FAILED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="verbatim-trading")
def main() -> None:
    """Verbatim: a trading engine with a flight recorder. Any session can be repeated word for word."""
