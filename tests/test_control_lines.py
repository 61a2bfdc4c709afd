"""The control socket against clients that are silent, slow or send nonsense: none ends or blocks a session."""

import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.bodies import CommandBody
from engine.live import control_socket
from engine.live.control_lines import ABOUT_NAMES, COMMANDS, DEPTH_MAX, LINE_BYTES_MAX, BadLineError, parse_line
from engine.live.control_socket import CLIENTS_MAX, send_command, serve_control
from engine.live.ingress import Command, Ingress
from engine.record_codec import text_of
from verbatim.commands import control

PAUSE = b'{"command":"pause","by":"me","reason":"news"}'
BAD = (
    b"[" * 3000,  # of issue 11
    b'{"command":' * 370,
    b'{"command":"pause","by":"\\ud800"}',  # a lone surrogate, of issue 11
    b'{"command":"pause","reason":"\\udfff\\ud800"}',
    b'{"command":"pause","by":"\xed\xa0\x80"}',  # the same, as bytes
    b"\xff\xfe",
    b"",
    b"null",
    b"[]",
    b'"pause"',
    b"1e999",
    b"9" * 4000,
    b"{}",
    b'{"command":null}',
    b'{"command":["pause"]}',
    b'{"command":{"pause":1}}',
    b'{"command":"PAUSE"}',
    b'{"command":"pause\\u0000"}',
    b'{"command":"pause","by":5}',
    b'{"command":"pause","reason":[[[]]]}',
    b'{"command":"pause"',
    b'{"command":"pause"}}',
    b'{"command":"' + b"x" * 4000 + b'"}',
    b"x" * (LINE_BYTES_MAX + 1),
    b'{"command":"pause","scope":"all"}',
    b'{"command":"pause","command":"halt"}',
    b'{"command":"accept_balance","about":"BTC","reason":"r","about":"ETH"}',
    b'{"command":"cancel_all","about":"BTCUSDT"}',
    b'{"command":"flatten","about":"aaaaaaaa,"}',
    b'{"command":"cancel_all","about":"' + b",".join([b"aaaaaaaa"] * 201) + b'"}',
    b'{"command":"pause","about":"aaaaaaaa"}',
    b'{"command":"pause","x":' + b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1) + b"}",
)


@pytest.mark.parametrize("line", BAD, ids=[f"{line[:24]!r}" for line in BAD])
def test_a_bad_line_is_one_bounded_line_of_error(line: bytes) -> None:
    with pytest.raises(BadLineError) as refused:
        parse_line(line)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b'{"command":"pause","scope":"all"}', "scope"),
        (b'{"command":"cancel_all","dry_run":true}', "dry_run"),
        (b'{"command":"pause","command":"halt"}', "the field 'command' is given twice"),
        (b'{"command":"halt","reason":"a","reason":"b"}', "the field 'reason' is given twice"),
    ],
)
def test_a_field_that_is_unknown_or_given_twice_is_refused_by_name(line: bytes, named: str) -> None:
    with pytest.raises(BadLineError) as refused:
        parse_line(line)
    assert named in str(refused.value)


def test_a_request_is_read_and_its_texts_are_bounded() -> None:
    request = parse_line(json.dumps({"command": "halt", "by": "b" * 99, "reason": "ü" * 400}).encode())
    assert (request.command, len(request.by), len(request.reason)) == ("halt", 64, 200)
    assert parse_line(b'{"command":"stop"}\r').by == "operator"
    broken = parse_line(json.dumps({"command": "halt", "by": "me\ttoo", "reason": "lunch\n\nbreak\u2028x "}).encode())
    assert (broken.by, broken.reason) == ("me too", "lunch break x"), "every list for people has it in one line"
    with pytest.raises(BadLineError, match="needs an asset and a reason"):
        parse_line(b'{"command":"accept_balance","about":"USDT","reason":"\\n"}')


def test_a_kill_of_two_hundred_sessions_with_a_long_reason_is_one_line() -> None:
    about = ",".join(["abcdefgh"] * 200)
    for command in ("cancel_all", "flatten"):
        line = json.dumps({"command": command, "by": "ü" * 64, "reason": "\U0001f600" * 200, "about": about}).encode()
        assert parse_line(line).about == about
    assert parse_line(b'{"command":"flatten"}').about == ""


def mutated(rng: random.Random) -> bytes:
    """Return a request with some bytes replaced, doubled, removed or taken from a bag of bad ones."""
    line = bytearray(json.dumps({"command": rng.choice(COMMANDS), "by": "me", "reason": "why"}).encode())
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(line) + 1)
        match rng.randrange(5):
            case 0:
                line[at:at] = rng.randbytes(rng.randint(1, 8))
            case 1:
                del line[at : at + rng.randint(1, 10)]
            case 2:
                line[at:at] = rng.choice([b"\\ud800", b"\\u0000", b"[" * 3000, b'{"a":' * 500, b"\x00", b"\xc3", b'"'])
            case 3:
                line[at:at] = line[: rng.randint(1, len(line) or 1)] * rng.randint(1, 30)
            case _:
                line[at:at] = rng.choice([b"1e400", b"null", b"NaN", b"\\", b",", b"}", b"]", b"\xf4\x90\x80\x80"])
    return bytes(line).replace(b"\n", b"")


@pytest.mark.slow
def test_five_thousand_mutated_lines_are_a_request_or_an_error() -> None:
    rng, good = random.Random(11), 0
    for _ in range(5000):
        line = mutated(rng)
        with suppress(BadLineError):
            request = parse_line(line)
            good += 1
            assert text_of(CommandBody(request.command, request.by, request.reason))  # type: ignore[arg-type]  # what the loop records
    assert 0 < good < 4000


class Server:
    """A socket whose commands are processed at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.ingress = path, Ingress()
        self.taken: list[Command] = []

    async def process(self) -> None:
        while True:
            await self.ingress.wait(1)
            while (item := self.ingress.next()) is not None:
                assert isinstance(item, Command)
                text_of(CommandBody(item.name, item.by, item.reason))
                self.taken.append(item)
                item.seq, item.mode = len(self.taken), "paused"
                item.done.set()

    async def send(self, line: bytes) -> dict[str, Any]:
        async with await trio.open_unix_socket(os.fspath(self.path)) as client:
            await client.send_all(line + b"\n")
            return json.loads(await receive_all(client))  # type: ignore[no-any-return]  # one object


async def receive_all(client: trio.SocketStream) -> bytes:
    received = b""
    try:
        while chunk := await client.receive_some(65536):
            received += chunk
    except trio.BrokenResourceError:
        pass  # the server closed while bytes of ours were unread
    return received


@pytest.fixture
async def server(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Server]:
    served = Server(tmp_path / "c" / "s.sock")
    await nursery.start(partial(serve_control, served.path, served.ingress))
    nursery.start_soon(served.process)
    yield served
    nursery.cancel_scope.cancel()


async def test_a_session_answers_after_hundreds_of_fuzzed_lines(server: Server) -> None:
    rng, errors = random.Random(7), 0
    for _ in range(400):
        with trio.fail_after(60):
            answer = await server.send(mutated(rng)[:LINE_BYTES_MAX])
        errors += "error" in answer
    for line in BAD[:-2]:
        assert "error" in await server.send(line)
    assert errors > 50
    assert (await server.send(PAUSE))["mode"] == "paused"


async def test_a_line_that_never_ends_is_refused(server: Server) -> None:
    async with await trio.open_unix_socket(os.fspath(server.path)) as client:
        await client.send_all(b"x" * (LINE_BYTES_MAX + 1))
        assert b"longer than" in await receive_all(client)


async def test_silent_clients_do_not_block_a_command(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seventeen silent clients blocked the socket; now the oldest of them goes, long before its time is over."""
    monkeypatch.setattr(control_socket, "LINE_SECONDS", 600)
    silent = [await trio.open_unix_socket(os.fspath(server.path)) for _ in range(5 * CLIENTS_MAX)]
    with trio.fail_after(60):
        answer = await trio.to_thread.run_sync(partial(send_command, server.path, command="pause", by="me"))
    assert answer["mode"] == "paused"
    with trio.fail_after(60):
        assert b"no whole line" in await receive_all(silent[0])  # the fault struck: the oldest was dropped
    for client in silent:
        await client.aclose()


async def test_a_silent_client_is_dropped_after_a_while(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "LINE_SECONDS", 0.05)
    async with await trio.open_unix_socket(os.fspath(server.path)) as client:
        await client.send_all(PAUSE)  # without the end of its line
        with trio.fail_after(60):
            assert b"no whole line came in time" in await receive_all(client)
    assert server.taken == []


async def test_a_client_that_leaves_before_its_answer_costs_nothing(server: Server) -> None:
    for _ in range(20):
        async with await trio.open_unix_socket(os.fspath(server.path)) as client:
            await client.send_all(PAUSE + b"\n")
    assert (await server.send(PAUSE))["mode"] == "paused"
    assert len(server.taken) == 21


def test_the_client_sends_any_bytes_of_its_arguments_as_text(tmp_path: Path) -> None:
    sent: list[bytes] = []

    async def main() -> None:
        served = Server(tmp_path / "c" / "s.sock")
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve_control, served.path, served.ingress))
            nursery.start_soon(served.process)
            call = partial(send_command, served.path, command="pause", by="me", reason="no \udcff text")
            await trio.to_thread.run_sync(call)
            sent.extend(command.reason.encode() for command in served.taken)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert sent == [b"no ? text"]


def test_the_command_line_offers_what_the_socket_accepts() -> None:
    offered = {name.replace("-", "_") for name in (*control.COMMANDS, *control.ABOUT_ONE)}
    assert offered == set(COMMANDS)
    assert {name.replace("-", "_") for name in control.ABOUT_ONE} == ABOUT_NAMES.keys()
