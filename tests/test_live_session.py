"""Sessions through the real shell against the real venue on loopback: sockets, disk and all."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
from warm_venue import venue_process

from analysis.metrics.meter_reader import last_line
from engine.bodies import CommandName
from engine.lifecycle import Status
from engine.live.account_lock import AccountBusyError
from engine.live.clock import SessionClock
from engine.live.control_socket import ControlError, send_command
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, StartError, with_venue
from engine.live.startup import open_session
from engine.live.transport.selection import TransportProfile, make_sender, open_websocket
from engine.live.transport.websocket import WebsocketClosedError
from engine.record_codec import read_request
from engine.session_record import SECOND_NS
from engine.venues.binance_common.signer import ApiKey
from engine.venues.binance_spot import BinanceSpot
from engine.venues.signing import HttpMessage
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.writer import JournalWriter
from replay.replay import replay_session
from verbatim.demo import DemoOptions, demo_session
from verbatim.runner import run_session_config
from verbatim.warmup import warm

Ready = dict[str, Any]
PROFILES = list(TransportProfile)
BTCUSDT = "binance_spot:BTCUSDT"
POLLED = "engine.venues.binance_spot_polled:BinanceSpotPolled"
RESTLESS = "tests/strategies/restless.py"


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm()


@pytest.fixture
async def venue() -> AsyncIterator[Ready]:
    """Run a venue in its own process. At the end every scripted fault must have struck."""
    async with venue_process({"symbols": ["BTCUSDT"], "weight_max": 1_000_000, "orders_10s_max": 100_000}) as ready:
        yield ready
        await check_faults_struck(ready)


def impatient(wanted: SessionConfig) -> SessionConfig:
    """Short windows, so that what takes 16 s of proof takes two."""
    engine = msgspec.structs.replace(
        wanted.engine, venue_timeout_ns=SECOND_NS // 5, order_query_interval_ns=SECOND_NS // 5
    )
    return with_venue(replace(wanted, engine=engine, carry=True), recv_window_ms=500)


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    with trio.fail_after(seconds):
        while not holds():
            await trio.sleep(0.01)


async def ask(venue: Ready, path: str, method: str = "GET", **given: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.request(method, venue["listening"] + path, **given)).json()


async def check_faults_struck(venue: Ready) -> None:
    missed = [fault["rule"] for fault in await ask(venue, "/sim/faults") if not fault["struck"]]
    assert not missed, f"these faults never struck: {missed}"


def trade_until(holds: Callable[[LiveSession], bool]) -> Callable[[LiveSession], Awaitable[None]]:
    async def drive(session: LiveSession) -> None:
        await until(lambda: holds(session))
        await session.command(CommandName.STOP, by="test")

    return drive


async def test_a_session_trades_stops_and_can_be_repeated(venue: Ready, tmp_path: Path) -> None:
    wanted = demo_session(DemoOptions(journals=tmp_path), venue)
    summary = await run_session_config(wanted, drive=trade_until(lambda s: s.status().fills >= 2))
    assert (summary.ended, summary.last.mode) == ("closed", "running")
    journal = Journal.open(summary.folder)
    assert journal.closed
    assert replay_session(summary.folder).identical
    records = list(journal.records())
    opened = {r.seq: r.source for r in records if r.kind is Kind.LINK and '"up"' in r.body}
    frames = [r for r in records if r.kind in (Kind.FEED, Kind.BROKER) and r.meta is None]
    assert frames
    assert all(opened[r.cause] == r.source for r in frames)
    asked = [
        r for r in records if r.kind is Kind.REQUEST and read_request(r.body).purpose in ("place", "cancel", "account")
    ]
    answers = [r.cause for r in records if r.meta and r.source == "binance_spot.rest" and r.cause is not None]
    assert len(answers) == len(set(answers))
    assert {r.seq for r in asked} <= set(answers)
    assert b"verbatim-demo-secret" not in b"".join(path.read_bytes() for path in summary.folder.iterdir())
    check_meter(summary.folder, records)


async def test_a_session_without_a_websocket_trades_through_the_shell(venue: Ready, tmp_path: Path) -> None:
    demo = demo_session(DemoOptions(journals=tmp_path, strategy=RESTLESS), venue)
    [access] = demo.venues
    polled = msgspec.structs.replace(
        access.settings, name=POLLED, stream="ws://127.0.0.1:9", private="ws://127.0.0.1:9"
    )  # nothing listens there
    faults = [{"action": "cut_answer", "method": "GET", "path": "/api/v3/ticker/bookTicker", "nth": 3, "times": 2}]
    await ask(venue, "/sim/faults", "POST", json=faults)
    summary = await run_session_config(
        replace(demo, venues=(replace(access, settings=polled),)),
        drive=trade_until(lambda s: s.status().orders >= 4 and s.state.seq > 200),
    )
    assert summary.clean, summary.reason
    records = list(Journal.open(summary.folder).records())
    assert not [r for r in records if r.kind in (Kind.FEED, Kind.BROKER) and r.meta is None], "no frame of a socket"
    answers = [r for r in records if r.kind is Kind.FEED and r.key]
    assert {(r.source, r.key.rpartition("/")[2]) for r in answers} == {
        ("binance_spot.market.0", stream) for stream in ("quote", "book", "trade")
    }
    failed = [json.loads(r.body) for r in records if r.kind is Kind.FACT and '"poll_failed"' in r.body]
    assert [body["stream"] for body in failed] == ["quote", "quote"]
    state = await ask(venue, "/sim/state")
    assert set(state["client_order_ids"].values()) == {1}
    assert state["open_orders"] == []
    assert replay_session(summary.folder).identical


def check_meter(folder: Path, records: list[Record]) -> None:
    """The last line is of the last record, and its times to the wire are those that the journal proves."""
    line = last_line(folder)
    assert line is not None
    assert line.seq == records[-1].seq
    assert sum(line.sync.counts) >= sum(sum(each.counts) for each in line.sends) > 0
    asked = {r.seq: (r, read_request(r.body or "")) for r in records if r.kind is Kind.REQUEST}
    spent: dict[str, list[int]] = {}
    for answer in records:
        request, body = asked.get(-1 if answer.cause is None else answer.cause, (None, None))
        if answer.meta and request is not None and body is not None and body.mutates:
            sent_ns = json.loads(answer.meta)["sent_ns"]
            spent.setdefault(body.purpose.value, []).append(sent_ns - request.time_ns)
    assert {each.purpose: (sum(each.counts), each.sum_ns) for each in line.sends} == {
        purpose: (len(times), sum(times)) for purpose, times in spent.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
async def test_an_answer_that_is_cut_off_is_one_order_in_the_end(
    venue: Ready, tmp_path: Path, profile: TransportProfile
) -> None:
    wanted = impatient(demo_session(DemoOptions(journals=tmp_path, strategy=RESTLESS, transport=profile), venue))
    cut = {"action": "cut_answer", "method": "POST", "path": "/api/v3/order"}
    late = {"action": "delay_events", "event": "executionReport", "ms": 1500, "times": 3}
    await ask(venue, "/sim/faults", "POST", json=[cut, late])
    summary = await run_session_config(wanted, drive=trade_until(lambda s: s.status().orders >= 6))
    assert summary.clean
    facts = [r for r in Journal.open(summary.folder).records() if r.kind is Kind.FACT]
    unknown = [r.key for r in facts if '"order_unknown"' in r.body]
    state = await ask(venue, "/sim/state")
    assert len(unknown) == 1
    assert state["client_order_ids"][unknown[0]] == 1
    assert not [r for r in facts if r.key == unknown[0] and '"order_not_placed"' in r.body]
    assert state["open_orders"] == []
    assert replay_session(summary.folder).identical


@pytest.mark.slow
async def test_an_order_that_never_arrived_is_proved_absent(venue: Ready, tmp_path: Path) -> None:
    wanted = impatient(demo_session(DemoOptions(journals=tmp_path, strategy=RESTLESS), venue))
    await ask(
        venue,
        "/sim/faults",
        "POST",
        json=[{"action": "drop_request", "method": "POST", "path": "/api/v3/order", "nth": 2}],
    )

    def resolved(session: LiveSession) -> bool:
        return any(order.status is Status.NOT_PLACED for order in session.state.account.orders.all())

    summary = await run_session_config(wanted, drive=trade_until(resolved))
    lost = [
        r.key for r in Journal.open(summary.folder).records() if r.kind is Kind.FACT and '"order_not_placed"' in r.body
    ]
    assert len(lost) == 1
    assert lost[0] not in (await ask(venue, "/sim/state"))["client_order_ids"]
    assert replay_session(summary.folder).identical


@pytest.mark.slow
async def test_a_lost_connection_is_reopened_and_reconciled(venue: Ready, tmp_path: Path) -> None:
    wanted = demo_session(DemoOptions(journals=tmp_path), venue)

    async def drive(session: LiveSession) -> None:
        await until(lambda: session.status().mode == "running")
        for target in ("market", "private"):
            await ask(venue, "/sim/faults", "POST", json={"action": "disconnect", "target": target})
            await until(lambda: session.status().mode != "running")
            await until(lambda: session.status().mode == "running")
        await session.command(CommandName.STOP, by="test")

    summary = await run_session_config(wanted, drive=drive)
    links = [(r.source, json.loads(r.body)) for r in Journal.open(summary.folder).records() if r.kind is Kind.LINK]
    down = [(source, body["reason"]) for source, body in links if body["state"] == "down"]
    assert [source for source, _ in down] == ["binance_spot.market.0", "binance_spot.private.0"]
    assert all(reason for _, reason in down)
    assert replay_session(summary.folder).identical


@pytest.mark.slow
async def test_a_session_goes_on_from_the_one_before(venue: Ready, tmp_path: Path) -> None:
    wanted = impatient(demo_session(DemoOptions(journals=tmp_path, strategy=RESTLESS), venue))
    first = await run_session_config(wanted, drive=trade_until(lambda s: s.status().fills >= 2))
    second = await run_session_config(wanted, drive=trade_until(lambda s: s.status().fills >= 1))
    body = json.loads(Journal.open(second.folder).session_record().body)
    assert body["previous"]["session"] == first.last.session
    assert body["previous"]["closed"]
    assert replay_session(second.folder).identical
    fills = [fill["side"] for fill in (await ask(venue, "/sim/state"))["fills"]]
    assert len(fills) == first.last.fills + second.last.fills


def with_access(config: SessionConfig, **changes: Any) -> SessionConfig:
    """Return a session of one venue with another key, other symbols or other names of them."""
    return replace(config, venues=(replace(config.venues[0], **changes),))


@pytest.mark.slow
async def test_a_person_tells_a_running_session_what_to_do(venue: Ready, tmp_path: Path) -> None:
    wanted = with_access(demo_session(DemoOptions(journals=tmp_path), venue), own_symbols={"BTCUSDT": "BTC/USD"})
    path = tmp_path

    async def drive(session: LiveSession) -> None:
        nonlocal path
        path = tmp_path / ".control" / f"{session.plan.body.session}.sock"
        await until(lambda: session.status().mode == "running")
        ordered = partial(send_command, path, by="alice")
        assert (await trio.to_thread.run_sync(partial(ordered, command="pause")))["mode"] == "paused"
        resumed = await trio.to_thread.run_sync(partial(ordered, command="resume"))
        assert resumed["seq"] < session.state.seq + 1
        with pytest.raises(ControlError, match="no command 'dance'"):
            await trio.to_thread.run_sync(partial(ordered, command="dance"))
        with pytest.raises(ControlError, match="needs an asset and a reason"):
            await trio.to_thread.run_sync(partial(ordered, command="accept_balance", reason="deposit"))
        accept = partial(ordered, command="accept_balance", reason="deposit", about="USDT")
        assert (await trio.to_thread.run_sync(accept))["mode"]
        about = partial(ordered, command="resume_instrument", about="BTC/USD")
        assert (await trio.to_thread.run_sync(about))["notes"] == [f"instrument {BTCUSDT} resumes, ordered by alice"]
        await trio.to_thread.run_sync(partial(ordered, command="stop"))

    summary = await run_session_config(wanted, drive=drive)
    commands = [json.loads(r.body) for r in Journal.open(summary.folder).records() if r.kind is Kind.COMMAND]
    assert [(c["command"], c["by"]) for c in commands] == [
        (command, "alice") for command in ("pause", "resume", "accept_balance", "resume_instrument", "stop")
    ]
    assert (commands[2]["about"], commands[2]["reason"]) == ("USDT", "deposit")
    assert commands[3]["about"] == BTCUSDT, "the own symbol of the command is recorded as the id"
    assert not path.exists()
    with pytest.raises(ControlError, match="is it running"):
        send_command(path, command="pause", by="alice")


@pytest.mark.slow
async def test_a_disk_that_is_nearly_full_halts_trading_and_the_record_goes_on(venue: Ready, tmp_path: Path) -> None:
    wanted = replace(demo_session(DemoOptions(journals=tmp_path), venue), free_bytes_min=1 << 60)
    halted = trade_until(lambda s: s.status().mode == "halted" and s.status().messages > 100)
    summary = await run_session_config(wanted, drive=halted)
    assert summary.clean
    assert any("the journal's disk has" in reason for reason in summary.last.reasons)
    assert replay_session(summary.folder).identical


@pytest.mark.slow
async def test_a_wrong_key_is_one_clear_line_and_ends_the_session(venue: Ready, tmp_path: Path) -> None:
    wrong = ApiKey.hmac("not-a-key", "not-a-secret")
    wanted = with_access(demo_session(DemoOptions(journals=tmp_path), venue), key=wrong)
    with pytest.raises((StartError, BaseExceptionGroup)) as found, trio.fail_after(60):
        await run_session_config(wanted)
    assert "refused our key" in str(found.value)


@pytest.mark.slow
async def test_a_venue_that_is_not_there_or_trades_something_else(venue: Ready, tmp_path: Path) -> None:
    wanted = demo_session(DemoOptions(journals=tmp_path), venue)
    with pytest.raises(StartError, match=r"cannot reach binance_spot at http://127.0.0.1:1 "):
        await open_session(with_venue(wanted, rest="http://127.0.0.1:1"))
    with pytest.raises(StartError, match="does not describe DOGEUSDT: it says -1121"):
        await open_session(with_access(wanted, symbols=("DOGEUSDT",)))


@pytest.mark.slow
async def test_a_start_waits_while_the_venue_refuses_the_rate_of_requests(venue: Ready, tmp_path: Path) -> None:
    wanted = demo_session(DemoOptions(journals=tmp_path), venue)
    limit = {"action": "rate_limit", "path": "/api/v3/exchangeInfo", "retry_after_s": 1}
    await ask(venue, "/sim/faults", "POST", json=limit)
    with trio.fail_after(30):
        plan = await open_session(wanted)
    plan.release()
    assert plan.body.instruments
    await check_faults_struck(venue)
    banned = {"status": 418, "code": -1003, "msg": "Way too many requests; IP banned until 4102444800000."}
    await ask(venue, "/sim/faults", "POST", json={"action": "reject", "path": limit["path"], **banned})
    with pytest.raises(StartError, match=r"IP banned until 4102444800000.* wants a wait of [0-9,]{9,} s"):
        await open_session(wanted)
    await check_faults_struck(venue)
    await ask(venue, "/sim/faults", "POST", json={**limit, "retry_after_s": 86_400})
    with pytest.raises(
        StartError, match=r"refuses the rate of requests \(-1003 .*\) and wants a wait of .*start again after it"
    ):
        await open_session(wanted)
    await check_faults_struck(venue)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
async def test_the_sender_distinguishes_the_ends_of_a_request(venue: Ready, profile: TransportProfile) -> None:
    """An answer, a cut after the request was processed, silence, and nothing sent: each proves something else."""
    sender = make_sender(profile, venue["listening"], kept_headers=BinanceSpot.kept_headers)
    clock = SessionClock.wall()
    ping = HttpMessage("GET", "/api/v3/time", ())
    answer = await sender.send(ping, timeout_s=5, clock=clock)
    assert (answer.outcome, answer.status) == ("answer", 200)
    assert "x-mbx-used-weight-1m" in answer.headers
    await ask(venue, "/sim/faults", "POST", json={"action": "cut_answer", "path": "/api/v3/time"})
    assert (await sender.send(ping, timeout_s=5, clock=clock)).outcome == "cut"
    await ask(venue, "/sim/faults", "POST", json={"action": "delay_answer", "path": "/api/v3/time", "ms": 5000})
    assert (await sender.send(ping, timeout_s=0.2, clock=clock)).outcome == "timeout"
    assert (await sender.send(ping, timeout_s=5, clock=clock)).outcome == "answer"
    await sender.close()
    nowhere = make_sender(profile, "http://127.0.0.1:1")
    assert (await nowhere.send(ping, timeout_s=1, clock=clock)).outcome == "not_sent"
    await nowhere.close()


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_websocket_delivers_whole_messages_and_the_reason_of_its_end(
    venue: Ready, profile: TransportProfile
) -> None:
    address = venue["listening"].replace("http", "ws")
    websocket = await open_websocket(profile, f"{address}/stream?streams=btcusdt@bookTicker")
    reads: list[tuple[int, list[bytes]]] = []

    def deliver(recv_ns: int, messages: list[bytes]) -> bool:
        reads.append((recv_ns, messages))
        return True

    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def disconnect() -> None:
            await until(lambda: bool(reads))
            await websocket.ping()
            await ask(venue, "/sim/faults", "POST", json={"action": "disconnect", "target": "market"})

        with pytest.raises(WebsocketClosedError, match="the other side"), trio.fail_after(60):
            await websocket.read(deliver)
    await websocket.close()
    recv_ns, messages = reads[0]
    assert messages[0].startswith(b'{"stream":"btcusdt@bookTicker"')
    assert recv_ns > 0
    with pytest.raises(WebsocketClosedError, match="refused with status 404"):
        await open_websocket(profile, f"{address}/nowhere")
    with pytest.raises(WebsocketClosedError, match=r"cannot open 127.0.0.1:1"):
        await open_websocket(profile, "ws://127.0.0.1:1/")


@pytest.mark.slow
async def test_a_session_that_cannot_be_folded_halts_the_next_until_a_person_resumes(
    venue: Ready, tmp_path: Path
) -> None:
    """Name the record of an earlier session that today's code cannot fold, reconcile, and wait."""
    wanted = replace(demo_session(DemoOptions(journals=tmp_path), venue), carry=True)
    plan = await open_session(wanted)
    plan.release()
    session = Record(0, plan.body.started_ns, Kind.SESSION, "shell", body=canonical(plan.body))
    strange = Record(1, plan.body.started_ns, Kind.FACT, "engine", cause=0, body='{"fact":"of_another_version"}')
    writer = JournalWriter.create(plan.folder)
    writer.append_step([session, strange])
    writer.close(final=False)

    async def drive(session: LiveSession) -> None:
        await until(lambda: session.state.account.reconciling.done_round > 0)
        status = session.status()
        assert (status.mode, status.orders) == ("halted", 0)
        assert "record 1 (FACT) cannot be folded" in status.reasons[0]
        await session.command(CommandName.RESUME, by="alice")
        await until(lambda: session.status().orders > 0)
        await session.command(CommandName.STOP, by="test")

    assert (await run_session_config(wanted, drive=drive)).clean


@pytest.mark.slow
async def test_two_engines_of_one_account_do_not_meet(venue: Ready, tmp_path: Path) -> None:
    wanted = replace(demo_session(DemoOptions(journals=tmp_path), venue), carry=True)

    async def drive(session: LiveSession) -> None:
        with pytest.raises(AccountBusyError, match=session.plan.body.session):
            await open_session(wanted)
        await session.command(CommandName.STOP, by="test")

    assert (await run_session_config(wanted, drive=drive)).clean
