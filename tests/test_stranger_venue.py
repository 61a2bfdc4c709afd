"""A venue of another author, loaded by name, trades through the real shell on its own server; its session verifies and
replays.

No file of ours names it: tests/stranger is a separate distribution, on the path in place of an installation.
"""

import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from engine.bodies import CommandName
from engine.live.session import LiveSession
from engine.live.session_status import Summary
from journal.reader import Journal
from journal.record import Kind
from journal.verify import verify
from replay.replay import replay_session
from verbatim.cli import main
from verbatim.config import read_config, read_key, session_config
from verbatim.runner import run_session_config
from verbatim.testing import check_venue
from verbatim.warmup import warm

STRANGER = Path(__file__).parent / "stranger"
TOML = """
instruments = ["XBT/USD"]

[venue]
name = "brine:Brine"
rest = "{server.http}"
stream = "{server.ws}"
private = "{server.ws}"

[session]
journals = "{journals}"
free_mib_min = 0

[strategy.crossing]
file = "{strategy}:CrossingQuoter"

[risk]
order_notional_max = 5000
position_max = 1
"""


RESTING = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Resting:
    version = "1"
    instruments = ("XBT/USD",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, _state, _parameters):
        if not view.orders("XBT/USD"):
            yield Place("XBT/USD", Side.BUY, Decimal("0.01"), view.quote("XBT/USD").bid - 1000)
"""


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stranger's distribution is on the path, and gone after."""
    monkeypatch.syspath_prepend(STRANGER)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("brine")]:
        monkeypatch.delitem(sys.modules, name)


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    with trio.fail_after(seconds):
        while not holds():
            await trio.sleep(0.01)


def test_it_keeps_the_contract_of_a_venue() -> None:
    from brine import Brine

    checked = check_venue(Brine, STRANGER / "vectors")
    assert "account_fill_cursors_are_ordered" in checked
    assert "account_signatures_are_repeatable" in checked


async def traded(tmp_path: Path, drive: Callable[..., Awaitable[None]], toml: str = TOML) -> Summary:
    """A session on the stranger's server, through its configuration, its credentials and the shell."""
    from brine_exchange import KEY, SECRET
    from brine_server import brine_server

    warm()
    async with brine_server() as server:
        path = tmp_path / "brine.toml"
        strategy = STRANGER / "crossing_quoter.py"
        path.write_text(toml.format(server=server, journals=tmp_path / "journals", strategy=strategy), encoding="utf-8")
        config = read_config(path, {})
        key = read_key(config, {"VERBATIM_API_KEY": KEY, "VERBATIM_API_SECRET": SECRET})

        async def driven(session: LiveSession) -> None:
            await drive(session, server.exchange)
            await session.command(CommandName.STOP, by="test")

        return await run_session_config(session_config(config, key=key, base=tmp_path), drive=driven)


def told(*arguments: str | Path) -> str:
    """What a command prints; it must succeed."""
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
async def test_it_trades_and_its_session_is_verified_repeated_and_asked(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    async def drive(session: LiveSession, exchange: Any) -> None:
        exchange.refuse_with.append("EOrder:Insufficient funds")
        await until(lambda: session.status().fills >= 3)
        seen["refused"] = not exchange.refuse_with
        exchange.lose_updates = 1
        await until(lambda: exchange.lost == 1 and session.status().mode != "running")
        await until(lambda: session.status().mode == "running")
        fills = session.status().fills
        await until(lambda: session.status().fills > fills)
        seen["weight"] = session.state.account.limits.get("brine").weight
        seen["exchange"] = exchange

    summary = await traded(tmp_path, drive)
    exchange = seen["exchange"]
    assert (summary.ended, summary.clean) == ("closed", True), summary.reason
    assert seen["refused"], "the refusal struck"
    assert exchange.snapshots >= 2, "the gap struck: a second book was streamed"
    assert seen["weight"] > 0, "requests are counted"
    assert exchange.limited == 0, "and never too many"

    # every fill of the exchange is booked once, under its opaque id
    folder = summary.folder
    records = list(Journal.open(folder).records())
    facts = [json.loads(record.body) for record in records if record.kind is Kind.FACT]
    booked = Counter(fact["fill_id"] for fact in facts if fact["fact"] == "order_filled")
    assert booked == Counter(row["exec_id"] for row in exchange.executions)
    confirmed = [fact["fill_id"] for fact in facts if fact["fact"] == "fills_confirmed"]
    assert all(isinstance(cursor, str) for cursor in confirmed), "a cursor that is no number is recorded as text"
    assert confirmed[-1].endswith(exchange.executions[-1]["exec_id"]), "the last round confirmed the last fill"

    # no secret and no foreign header is in the journal
    raw = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert b"trace=1" not in raw
    metas = [json.loads(record.meta) for record in records if record.meta]
    assert any("brine-counter" in meta.get("headers", {}) for meta in metas)

    assert verify(folder).ok
    assert replay_session(folder).identical

    orders = json.loads(told("sql", folder, "SELECT client_order_id, status, reason FROM orders", "--json"))
    refused = next(row for row in orders if row["status"] == "rejected")
    assert refused["reason"] == "EOrder:Insufficient funds"
    errors = told(
        "sql", folder, "SELECT error_code FROM requests WHERE purpose = 'place' AND error_code IS NOT NULL", "--json"
    )
    assert json.loads(errors) == [{"error_code": "EOrder:Insufficient funds"}]
    (quotes,) = json.loads(told("sql", folder, "SELECT count(*) AS n, min(spread) AS least FROM quotes", "--json"))
    assert quotes["n"] > 10
    assert float(quotes["least"]) == 0.1
    sides = told("sql", folder, "SELECT DISTINCT instrument, side FROM trades ORDER BY side", "--json")
    assert json.loads(sides) == [{"instrument": "brine:XBT/USD", "side": side} for side in ("BUY", "SELL")]

    assert "brine:XBT/USD" in told("ask", folder)
    filled = next(row["client_order_id"] for row in orders if row["status"] == "filled")
    story = told("why", folder, filled)
    assert "the venue's report: order is filled" in story
    assert "quote XBT/USD: bid " in story


@pytest.mark.slow
async def test_a_request_counter_that_fills_up_holds_orders_back_and_falls_again(tmp_path: Path) -> None:
    """The venue's own count is believed: other programs of the account may have spent it."""
    seen: dict[str, Any] = {}

    async def drive(session: LiveSession, exchange: Any) -> None:
        await until(lambda: session.status().fills >= 1)
        exchange.counter += 170
        await until(lambda: session.state.account.limits.get("brine").weight > 16_500)
        fills = session.status().fills
        await until(lambda: session.status().fills > fills + 2)
        seen["limited"] = exchange.limited

    summary = await traded(tmp_path, drive)
    assert summary.clean, summary.reason
    verdicts = [json.loads(r.body) for r in Journal.open(summary.folder).records() if r.kind is Kind.VERDICT]
    held_back = [verdict["rules"].get("rate", "") for verdict in verdicts if not verdict["approved"]]
    assert any("the request counter is at" in reason for reason in held_back), "the full counter struck"
    assert seen["limited"] == 0
    assert replay_session(summary.folder).identical


async def test_a_wrong_secret_is_refused_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import brine_exchange

    monkeypatch.setattr(brine_exchange, "SECRET", "bm90IHRoZSBzZWNyZXQ=")

    async def drive(_session: LiveSession, _exchange: Any) -> None:
        monkeypatch.setattr(brine_exchange, "SECRET", "YW5vdGhlciBzZWNyZXQ=")
        await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as found, trio.fail_after(60):
        await traded(tmp_path, drive)
    assert "EAPI:Invalid signature" in str(found.value.exceptions)


@pytest.mark.slow
async def test_its_dead_man_switch_cancels_when_the_engine_falls_silent(tmp_path: Path) -> None:
    """The switch is armed again and again by recorded requests, and disarmed by an ordered end."""
    seen: dict[str, Any] = {}

    async def drive(session: LiveSession, exchange: Any) -> None:
        await until(lambda: len(exchange.dead_man_ms) >= 3)
        seen["exchange"] = exchange

    (tmp_path / "resting.py").write_text(RESTING)
    toml = TOML.replace("free_mib_min = 0", "free_mib_min = 0\ndead_man_s = 3")
    toml = toml.replace("{strategy}:CrossingQuoter", f"{tmp_path / 'resting.py'}:Resting")
    summary = await traded(tmp_path, drive, toml)
    exchange = seen["exchange"]
    assert set(exchange.dead_man_ms[:-1]) == {3000}
    assert exchange.dead_man_ms[-1] == 0
    assert exchange.fired == 0
    requests = [r for r in Journal.open(summary.folder).records() if r.kind is Kind.REQUEST]
    armed = [r for r in requests if "_switch" in (r.body or "")]
    assert len(armed) == len(exchange.dead_man_ms)
    assert replay_session(summary.folder).identical

    async def fall_silent(session: LiveSession, exchange: Any) -> None:
        await until(lambda: len(exchange.dead_man_ms) >= 3 and bool(exchange.call("OpenOrders", {})))
        exchange.deaf = True
        await until(lambda: exchange.fired >= 1)
        seen["open"] = exchange.call("OpenOrders", {})
        exchange.deaf = False

    await traded(tmp_path, fall_silent, toml)
    assert seen["open"] == []
