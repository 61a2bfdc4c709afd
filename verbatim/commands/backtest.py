"""`verbatim backtest`: resim against the simulated venue from the first request on."""

from functools import partial

import click

from verbatim.commands import resim

HELP = """Trade the market of SESSION with a strategy against the simulated venue, from the first record to the last.

SESSION is a path, an id, a bundle, an archive's address, or an imported capture. The same as `resim`, except that no
recorded answer is used: fees, latency and queues come from the model (docs/fidelity.md). The last line is the path of
the journal that it writes.
"""

_callback = resim.command.callback
assert _callback is not None, "a command has one"

command = click.Command(
    "backtest",
    callback=partial(_callback, modelled=True),
    params=[option for option in resim.command.params if option.name != "modelled"],
    help=HELP,
)
