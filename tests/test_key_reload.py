"""Keys that change while a session runs: `control reload-keys` tries each new key before it replaces the one in use."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from warm_venue import venue_process

from engine.bodies import CommandName
from engine.live.control_socket import ControlError, send_command, socket_path
from engine.live.session import LiveSession
from journal.reader import Journal
from replay.replay import replay_session
from verbatim.config import make_config, read_keys, session_config
from verbatim.runner import run_session_config
from verbatim.warmup import warm

ONCE = f"{Path(__file__).parent}/strategies/once.py:Once"
SECRET = "the-secret-of-all"


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Run a venue with two keys of one account."""
    warm()
    accounts = [
        {"api_key": name, "secret": SECRET, "name": "mine", "balances": {"USDT": "100000", "BTC": "2"}}
        for name in ("key-old", "key-new")
    ]
    async with venue_process({"symbols": ["BTCUSDT"], "accounts": accounts}) as ready:
        yield str(ready["listening"])


def write_key(file: Path, key: str) -> None:
    file.write_text(f'api_key = "{key}"\napi_secret = "{SECRET}"\n', encoding="utf-8")
    file.chmod(0o600)


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not holds():
            await trio.sleep(0.02)


@pytest.mark.slow
async def test_a_key_is_replaced_while_the_session_runs(address: str, tmp_path: Path) -> None:
    """One that the venue refuses changes nothing; one that it accepts opens the account's link again."""
    file = tmp_path / "key.toml"
    write_key(file, "key-old")
    stream = address.replace("http", "ws")
    values: dict[str, Any] = {
        "instruments": ["BTCUSDT"],
        "venue": {"rest": address, "stream": stream, "private": stream, "secret_file": str(file)},
        "strategy": {"once": {"file": ONCE}},
        "session": {"journals": str(tmp_path / "journals")},
    }
    read = make_config(values, "test", {})
    wanted = session_config(read, keys=read_keys(read, {}))
    answers: list[str] = []

    async def drive(session: LiveSession) -> None:
        path = socket_path(wanted.journals, session.plan.body.session)

        async def reload(about: str = "") -> None:
            send = partial(send_command, path, command="reload_keys", by="test", about=about)
            try:
                answers.append(str((await trio.to_thread.run_sync(send))["mode"]))
            except ControlError as error:
                answers.append(str(error))

        links = session.state.account.links.by_source
        await until(lambda: session.status().mode == "running")
        write_key(file, "key-wrong")
        await reload()
        await reload("nowhere")
        file.unlink()
        await reload()
        write_key(file, "key-new")
        await reload()
        await until(lambda: session.state.account.links.by_source["binance_spot.private.0"].reconnects > 0)
        await until(lambda: session.status().mode == "running")
        assert links["binance_spot.private.0"].reconnects == 0
        await session.command(CommandName.STOP, by="test")

    summary = await run_session_config(wanted, drive=drive)
    wrong, nowhere, missing, _accepted = answers
    assert wrong.startswith("binance_spot: the venue refuses the new key: -2015")
    assert nowhere.startswith("the session has no account at nowhere; it has one at binance_spot")
    assert missing.startswith("cannot read the secret file")
    assert all(text.endswith("the keys in use stay") for text in (wrong, missing))
    assert SECRET not in "".join(answers)
    assert Journal.open(summary.folder).closed
    assert replay_session(summary.folder).identical
