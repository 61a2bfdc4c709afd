"""`verbatim fidelity`: compare the simulated venue with the real one, order by order, by replay/study/fidelity.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from replay.study.fidelity import FidelityRow


@click.command("fidelity")
@session_argument()
@click.option(
    "--model", "model_settings", multiple=True, metavar="NAME=VALUE", help="Where the search begins, as of resim."
)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON object.")
def command(*, session: str, model_settings: tuple[str, ...], journals: Path, as_json: bool) -> None:
    """Send SESSION's own orders to the simulated venue over SESSION's own market, and compare what became of each.

    Shows how many orders filled equally with the measured latency, and the latency and fees with the best match.
    """
    import msgspec

    from engine.sim.venue_model import UnknownSettingError
    from journal.errors import DamagedJournalError, JournalError
    from replay.overrides import UnknownOverrideError, parse_settings
    from replay.resim.sim_setup import CannotResimulateError
    from replay.study.fidelity import NothingSentError

    try:
        with progress("comparing", "models") as shown:
            found = open_to_read(journals, session).fidelity(parse_settings(model_settings), on_try=shown.report)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except (JournalError, CannotResimulateError, NothingSentError, UnknownOverrideError, UnknownSettingError) as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(msgspec.to_builtins(found)))
        return
    where = f"measured in {found.measured_in:,} round trips" if found.measured_in else "not measured"
    echo(f"as it begins ({where}): {_summary(found.initial)}")
    echo(f"nearest of {found.tried} tried: {_summary(found.best)}")
    echo(
        f"  its fills are {found.best.clock_ms:+g} ms off in the median, by feed latency or clocks; "
        "the figures below leave that out"
    )
    for line in found.best.worst:
        echo_line(f"  {line}")
    best = found.best.model
    fees = f"--model fee_maker={best.fee_maker} --model fee_taker={best.fee_taker}"
    echo(f"use it: --model request_ms={best.request_ns / 1e6:g} --model feed_ms={best.feed_ns / 1e6:g} {fees}")


def _summary(compared: "FidelityRow") -> str:
    alike = f"{compared.agree:,} of {compared.orders:,} orders filled equally"
    filled = f"{compared.filled_modelled:f} filled in the model, {compared.filled_recorded:f} at the venue"
    request_ms = compared.model.request_ns / 1e6
    return f"request {request_ms:g} ms: {alike}; {filled}; first fills {compared.fill_apart_ms:g} ms apart"
