"""The files that `verbatim new strategy` writes: a strategy, its configuration, and a test that replays."""

import re
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]{0,19}")

STRATEGY = '''"""NAME: buy below a moving average, sell above it."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Average, OnFill, OnQuote, Place, Side, View


class CLASS:
    """One order at a time, at the touch. Change `decide`, and raise `version` when its decisions change."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = (OnQuote(throttle_ms=500), OnFill())
    averages = (Average("mean", length=100),)

    @dataclass
    class Parameters:
        """What the configuration may set."""

        size: Decimal = Decimal("0.001")

    @dataclass
    class State:
        """All that is kept between decisions."""

        entries: int = 0

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        """Return the orders to place. Risk accepts or refuses each."""
        (name,) = view.instruments
        if view.trigger == "fill":
            fill = view.fills(name)[-1]
            view.log(f"{fill.side} {fill.quantity} at {fill.price}")
        quote, mean = view.quote(name), view.average("mean", name)
        if quote is None or mean is None or view.orders(name):
            return []
        held = view.round_quantity(name, view.position(name).quantity)
        rationale = {"mean": mean}
        if held <= 0 and float(quote.ask) < mean:
            state.entries += 1
            return [Place(name, Side.BUY, parameters.size, quote.ask, rationale=rationale)]
        if held > 0 and float(quote.bid) > mean:
            return [Place(name, Side.SELL, held, quote.bid, rationale=rationale)]
        return []
'''

CONFIGURATION = """# NAME on the simulated venue. In one terminal:   verbatim venue
# In another, with the simulated venue's public demo keys:
#   VERBATIM_API_KEY=verbatim-demo-key VERBATIM_API_SECRET=verbatim-demo-secret verbatim run NAME.toml

instruments = ["BTCUSDT"]

[session]
journals = "journals"
account = "demo"
carry = false                    # the simulated venue forgets everything when it ends

[venue]
rest = "http://127.0.0.1:9090"
stream = "ws://127.0.0.1:9090"
private = "ws://127.0.0.1:9090"

[strategy.NAME]
file = "NAME.py:CLASS"
parameters = { size = "0.001" }

[risk]
order_size_max = "0.01"
position_max = "0.05"
open_orders_max = 10
"""

TEST = '''"""NAME trades a synthetic market in virtual time, and its session replays identically."""

from pathlib import Path

from replay.replay import replay_session
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings


def test_NAME_trades_and_replays(tmp_path: Path) -> None:
    strategy = strategy_settings(Path(__file__).with_name("NAME.py"), "CLASS", name="NAME")
    session = VirtualSession(VirtualVenue(), tmp_path / "session", strategies=[strategy]).run(120)
    session.stop()
    assert session.facts("strategy_stopped") == []
    assert session.facts("order_filled"), "it never traded"
    verdict = replay_session(session.folder)
    assert verdict.identical, verdict.text()
'''


def class_of(name: str) -> str:
    """Return the name of the class of a new strategy."""
    return "".join(part.capitalize() for part in name.split("_"))


class NewStrategyError(Exception):
    """The files of a new strategy cannot be written."""


def write_strategy(name: str, folder: Path) -> list[Path]:
    """Write NAME.py, NAME.toml and test_NAME.py into a folder, and return their paths.

    Raises:
        NewStrategyError: The name does not fit, or one of the files exists. Then nothing is written.
    """
    if not NAME.fullmatch(name):
        raise NewStrategyError(
            f"{name!r} is no name of a strategy: a lower-case letter, then at most 19 of these, digits and _"
        )
    texts = {f"{name}.py": STRATEGY, f"{name}.toml": CONFIGURATION, f"test_{name}.py": TEST}
    paths = [folder / file for file in texts]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise NewStrategyError(f"{path} exists, and no file is overwritten: choose another name or folder")
    for path, text in zip(paths, texts.values(), strict=True):
        with path.open("x") as file:
            file.write(text.replace("CLASS", class_of(name)).replace("NAME", name))
    return paths
