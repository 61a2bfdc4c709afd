"""One session on two simulated venues, each in its own process: trading, locks, check, restart, the emergency cancel."""

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace as changed
from warm_processes import run
from warm_venue import venue_process

from engine.bodies import CommandName
from engine.live.account_lock import AccountBusyError, AccountLock
from engine.live.previous_session import newest_sessions
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, StartError
from engine.live.session_status import Summary
from engine.live.startup import open_session
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.session_record import read_session
from journal.reader import Journal
from replay.replay import replay_session
from verbatim.checking import check_venue_of
from verbatim.config import make_config, read_keys, session_config
from verbatim.kill_session import replace_safety
from verbatim.local_checks import Check, CheckStatus
from verbatim.runner import run_session_config
from verbatim.warmup import warm

NAMES = ("one", "two")
BOTH = f"{Path(__file__).parent}/strategies/both.py:Both"
KEYS = {
    f"VERBATIM_API_{part}_{name}": value
    for name in ("ONE", "TWO")
    for part, value in (("KEY", DEMO_KEY), ("SECRET", DEMO_SECRET))
}
Drive = Callable[[LiveSession], Awaitable[None]]


@pytest.fixture
async def addresses() -> AsyncIterator[dict[str, str]]:
    """Run two venues, each in its own process, and return their addresses by name."""
    warm()
    async with AsyncExitStack() as stack:
        ready = {
            name: await stack.enter_async_context(venue_process({"symbols": ["BTCUSDT"], "seed": number}))
            for number, name in enumerate(NAMES)
        }
        yield {name: str(each["listening"]) for name, each in ready.items()}


def config(addresses: dict[str, str], journals: Path, names: tuple[str, ...] = NAMES, **tables: Any) -> SessionConfig:
    values: dict[str, Any] = {
        "instruments": [f"{name}:BTCUSDT" for name in names],
        "venue": {
            name: {
                "kind": "binance_spot",
                "rest": addresses[name],
                "stream": addresses[name].replace("http", "ws"),
                "private": addresses[name].replace("http", "ws"),
            }
            for name in names
        },
        "account": {name: {} for name in names},
        "strategy": {"both": {"file": BOTH}},
        "session": {"journals": str(journals)},
        "risk": {"sell_holdings": True},
    }
    read = make_config({**values, **tables}, "test", KEYS)
    return session_config(read, keys=read_keys(read, KEYS))


def until(holds: Callable[[LiveSession], bool], then: Callable[[LiveSession], None] | None = None) -> Drive:
    """Return a driver that waits for a condition, then stops the session or breaks it."""

    async def drive(session: LiveSession) -> None:
        with trio.fail_after(60):
            while not holds(session):
                await trio.sleep(0.02)
        if then is None:
            await session.command(CommandName.STOP, by="test")
        else:
            then(session)

    return drive


def has_filled(session: LiveSession) -> bool:
    """Return True if this session got a fill at each venue."""
    orders = session.state.account.orders.all()
    mine = [each for each in orders if each.fill_ids and each.client_order_id.startswith(session.plan.body.session)]
    return {each.order.instrument for each in mine} == set(session.kernel.session.instruments)


async def open_orders(address: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return list((await client.get(f"{address}/sim/state")).json()["open_orders"])


async def trade(wanted: SessionConfig) -> Summary:
    """Run a session until both venues filled its orders."""
    summary = await run_session_config(wanted, drive=until(has_filled))
    assert (summary.ended, summary.last.mode) == ("closed", "running")
    assert Journal.open(summary.folder).closed
    assert replay_session(summary.folder).identical
    return summary


@pytest.mark.slow
async def test_a_session_on_two_venues_trades_and_is_continued(addresses: dict[str, str], tmp_path: Path) -> None:
    first = await trade(config(addresses, tmp_path))
    body = read_session(Journal.open(first.folder).session_record().body or "")
    assert [(each.name, each.kind, each.account) for each in body.venues] == [
        ("one", "binance_spot", "one"),
        ("two", "binance_spot", "two"),
    ]
    assert b"verbatim-demo-secret" not in b"".join(path.read_bytes() for path in first.folder.iterdir())
    for address in addresses.values():
        assert await open_orders(address) == []
    again = await trade(config(addresses, tmp_path))
    body = read_session(Journal.open(again.folder).session_record().body or "")
    assert body.previous is not None
    assert (body.previous.session, body.opening is not None) == (first.last.session, True)


@pytest.mark.slow
async def test_a_session_of_one_venue_is_continued_by_one_of_two(addresses: dict[str, str], tmp_path: Path) -> None:
    """Its balances get the venue's name, and the other account begins."""
    alone = config(
        addresses, tmp_path, ("one",), strategy={"both": {"file": BOTH, "parameters": {"second": "one:BTCUSDT"}}}
    )
    first = await run_session_config(alone, drive=until(has_filled))
    both = config(addresses, tmp_path)
    again = await trade(both)
    body = read_session(Journal.open(again.folder).session_record().body or "")
    assert body.previous is not None
    assert body.previous.session == first.last.session
    assert body.opening is not None
    assert set(body.opening["account"]["ledger"]["by_asset"]) == {"one/BTC", "one/USDT"}


async def test_each_account_is_locked_before_anything_is_read(tmp_path: Path) -> None:
    """In the order of their names. Neither venue is up: nothing is sent to them."""
    wanted = config({name: f"http://127.0.0.1:{port}" for port, name in enumerate(NAMES, 8)}, tmp_path)
    held = AccountLock(tmp_path, "two", "two")
    with pytest.raises(AccountBusyError, match="account 'two' at two is already traded"):
        await run_session_config(wanted)
    AccountLock(tmp_path, "one", "one").release()  # the first lock was released when the second failed
    held.release()


@pytest.mark.slow
async def test_the_emergency_cancel_reaches_both_venues(addresses: dict[str, str], tmp_path: Path) -> None:
    """The core fails while orders rest at both."""

    def break_core(session: LiveSession) -> None:
        session.kernel.session.runner.decide = None  # type: ignore[method-assign, assignment]  # the next decision fails

    def rests(session: LiveSession) -> bool:
        live = session.state.account.orders.live.values()
        return {each.order.instrument for each in live if each.order.price} == {f"{name}:BTCUSDT" for name in NAMES}

    summary = await run_session_config(config(addresses, tmp_path), drive=until(rests, break_core))
    assert summary.ended == "core"
    for address in addresses.values():
        assert await open_orders(address) == []


@pytest.mark.slow
async def test_check_names_each_venue(addresses: dict[str, str], tmp_path: Path) -> None:
    found: list[Check] = []
    await check_venue_of(config(addresses, tmp_path), allowed_rights={}, report=found.append)
    assert {each.name.partition(" ")[0] for each in found} == set(NAMES)
    assert {each.status for each in found} == {CheckStatus.OK}, [each.line() for each in found]
    assert [each.name for each in found if each.name.startswith("two")][:2] == ["two venue", "two instruments"]


@pytest.mark.slow
async def test_a_kill_reaches_accounts_that_different_sessions_traded_last(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    """A session of both leaves orders at both, and one without an account at the second follows."""

    def rests(session: LiveSession) -> bool:
        live = session.state.account.orders.live.values()
        return {each.order.instrument for each in live if each.venue_order_id} == {f"{name}:BTCUSDT" for name in NAMES}

    async def cancel(session: LiveSession) -> None:
        """Cancel all, as `kill` does."""
        await session.command(CommandName.HALT, by="test")
        await session.command(CommandName.CANCEL_ALL, by="test")
        await until(lambda session: not session.state.account.safety.active)(session)

    both = config(addresses, tmp_path)
    left = replace(both, engine=changed(both.engine, cancel_on_stop=False))
    first = await run_session_config(left, drive=until(rests))
    strategy = {"both": {"file": BOTH, "parameters": {"second": "one:BTCUSDT"}}}
    alone = config(addresses, tmp_path, account={"one": {}}, strategy=strategy)
    second = await run_session_config(alone, drive=until(lambda session: session.state.account.modes.mode == "running"))
    assert await open_orders(addresses["two"]) != []
    assert second.ended == "closed", "it does not wait for orders that it can neither query nor cancel"
    with pytest.raises(StartError, match=f"at two was last traded by session {first.last.session}, and the other"):
        await run_session_config(both)
    plan = await open_session(replace(both, carry=False))  # as the text advises
    plan.release()
    killed = await run_session_config(replace_safety(both, newest_sessions(both, both.accounts)), drive=cancel)
    assert killed.ended == "closed"
    for address in addresses.values():
        assert await open_orders(address) == []
    assert replay_session(killed.folder).identical


@pytest.mark.slow
def test_a_basis_survives_kills_a_lost_venue_and_refused_legs() -> None:
    """benchmarks/basis_kills.py says what is checked; Spot is lost for 2 s at speed 5, and USD-M refuses once."""
    program = Path(__file__).parent.parent / "benchmarks" / "basis_kills.py"
    ended = run([sys.executable, str(program), "--rounds", "1", "--lost", "2"], timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert found["broken"] == []
    assert (found["refused"] >= 1, found["lost"] >= 1, min(found["fills"].values()) > 10) == (True, True, True), found
