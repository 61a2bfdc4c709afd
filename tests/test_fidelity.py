"""The model against a venue with the same orders and market, but with other latencies and fees."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from replaying import QUOTER
from tiers import first_is_quick

from engine.session_record import MILLISECOND_NS
from engine.sim.venue_model import VenueModel, with_settings
from replay.resim.measured_latency import MEASURED, MeasuredLatency
from replay.study.fidelity import fidelity
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources


def record_session(
    folder: Path, *, wire_ms: float, fees: tuple[str, str] = ("0.001", "0.001"), venue_ms: float = 0
) -> Path:
    venue = VirtualVenue(
        seed=3, balances={"USDT": "1000000", "BTC": "20"}, latency_ns=int(venue_ms * MILLISECOND_NS), fees=fees
    )
    quoter = from_sources({"quoter": QUOTER}, "quoter", "Quoter")
    VirtualSession(venue, folder, strategies=[quoter], wire_ns=int(wire_ms * MILLISECOND_NS)).run(10).stop()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("wire_ms", "fees"), first_is_quick([(9, ("0.0002", "0.0004")), (25, ("0.001", "0.001"))]))
def test_latency_and_fees_of_the_venue_are_found(tmp_path: Path, wire_ms: float, fees: tuple[str, str]) -> None:
    """Start the search at 1 ms each way.

    Orders and market meet as recorded if the two latencies have the right sum.
    """
    folder = record_session(tmp_path / "s", wire_ms=wire_ms, fees=fees)
    found = fidelity(folder, settings={"request_ms": "1", "feed_ms": "1"})
    assert found.initial.cost > found.best.cost
    assert found.best.agree == found.best.orders > 50
    assert found.best.model.request_ns / MILLISECOND_NS + 1 == pytest.approx(2 * wire_ms, rel=0.15)
    assert found.best.model.fee_maker == fees[0]
    assert found.best.clock_ms == pytest.approx(
        wire_ms - 1, abs=1.5
    )  # the market was at the venue so much earlier than the model has it


def test_the_text_of_a_model_says_which_latencies_are_given() -> None:
    measured = MeasuredLatency(VenueModel(request_ns=700_000, answer_ns=700_000, feed_ns=700_000), 34)
    given = {f"{name}_ms": "5" for name in MEASURED}

    def origin(*names: str, measured: MeasuredLatency = measured) -> str:
        model = with_settings(measured.model, {name: given[name] for name in names})
        return model.text(measured.origin(model)).partition("(")[2].partition(")")[0]

    assert origin() == "measured in 34 round trips"
    assert origin(*given) == "given"
    assert origin("feed_ms") == "feed given, the rest measured in 34 round trips"
    assert origin("request_ms", "answer_ms", measured=MeasuredLatency(VenueModel(), 0)).startswith(
        "request and answer given, the rest not measured"
    )


@pytest.mark.slow
def test_the_command_reports_the_best_model(tmp_path: Path) -> None:
    folder = record_session(tmp_path / "s", wire_ms=2, venue_ms=1)
    told = CliRunner().invoke(main, ["fidelity", str(folder)])
    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    assert lines[0].startswith("as it begins (measured in ")
    assert "orders filled equally" in lines[1]
    assert lines[-1].startswith("use it: --model request_ms=")
    found = json.loads(CliRunner().invoke(main, ["fidelity", str(folder), "--json"]).output)
    assert found["best"]["agree"] == found["best"]["orders"]


def test_a_session_without_orders_is_one_clear_line(tmp_path: Path) -> None:
    venue = VirtualVenue(seed=3)
    VirtualSession(venue, tmp_path / "s").run(1).stop()
    told = CliRunner().invoke(main, ["fidelity", str(tmp_path / "s")])
    assert (told.exit_code, len(told.output.splitlines())) == (3, 1)
    assert "sent no order" in told.output


@pytest.mark.slow
def test_a_latency_beyond_the_session_end_is_compared(tmp_path: Path) -> None:
    """Let the last orders of a short session reach the model after its last record."""
    found = fidelity(record_session(tmp_path / "s", wire_ms=2), settings={"request_ms": "60000"})
    assert found.initial.model.request_ns == 60_000 * MILLISECOND_NS
    assert found.best.cost < found.initial.cost
