"""`verbatim completion`: the script with which a shell completes commands, options and sessions. click makes it."""

import click

from verbatim.terminal import echo

PROGRAM = "verbatim"


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(*, shell: str) -> None:
    """Print the script that completes commands, options and session ids in SHELL.

    To use it: `eval "$(verbatim completion bash)"` in ~/.bashrc (bash 4.4 or newer), the same with zsh in ~/.zshrc, and
    `verbatim completion fish > ~/.config/fish/completions/verbatim.fish`.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from verbatim.cli import main

    make = get_completion_class(shell)
    assert make is not None, "click has these three"
    # that of the base class: the one for bash starts a shell to learn its version
    echo(ShellComplete.source(make(main, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE")))
