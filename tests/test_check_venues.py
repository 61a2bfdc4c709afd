"""`verbatim check` at venues other than Binance, over loopback: keys that prove nothing, clocks, and remedies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.bodies import CommandName
from engine.live.control_socket import ControlError, send_command, socket_path
from engine.live.session import LiveSession
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET, VenueOptions, serve
from engine.sim.venue_config import AccountConfig
from engine.sim.venue_kinds import KINDS
from journal.reader import Journal
from replay.replay import replay_session
from verbatim.checking import check_venue_of
from verbatim.config import make_config, read_keys, session_config
from verbatim.local_checks import Check, CheckStatus
from verbatim.runner import run_session_config
from verbatim.sections import ConfigError

ACCOUNT, SECRET = KINDS["hyperliquid"].credentials or ("", "")
WALLET = "0x14791697260e4c9a71f18484c9f997b308e59325"  # of that secret
OTHER = "0x" + "9" * 64  # the secret of a wallet without an approval
MASTER = "0xe1fae9b4fab2f5726677ecfa912d96b0b683e6a9"  # of the secret MASTER_SECRET
MASTER_SECRET = "0x" + "5" * 64


@asynccontextmanager
async def serving(kind: str, **options: Any) -> AsyncIterator[str]:
    """Run a simulated venue in this process."""
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(serve, VenueOptions(kind=kind, **options))
        yield ready["listening"]
        nursery.cancel_scope.cancel()


def values_of(kind: str, address: str, journals: Path, **venue: str) -> dict[str, Any]:
    sockets = address.replace("http", "ws", 1)
    where = {"name": KINDS[kind].dialect, "rest": address, "stream": sockets, "private": sockets, "network": "local"}
    symbols = KINDS[kind].symbols[:1]
    return {"instruments": symbols, "venue": where | venue, "session": {"journals": journals}, "strategy": {}}


async def checks_of(kind: str, address: str, folder: Path, key: str = "", secret: str = "") -> dict[str, Check]:
    """Return the checks at a venue, by name; without a key for ""."""
    config = make_config(values_of(kind, address, folder), "test", {})
    environment = {"VERBATIM_API_KEY": key, "VERBATIM_API_SECRET": secret, "VERBATIM_API_NETWORK": "local"}
    keys = read_keys(config, environment) if key else {}
    found: list[Check] = []
    await check_venue_of(session_config(config, keys=keys), allowed_rights={}, report=found.append)
    return {each.name: each for each in found}


def failures(checks: dict[str, Check]) -> dict[str, str]:
    return {name: f"{each.text} | {each.advice}" for name, each in checks.items() if each.status is CheckStatus.FAIL}


def skipped(checks: dict[str, Check]) -> dict[str, str]:
    return {name: each.text for name, each in checks.items() if each.status is CheckStatus.SKIP}


# ---- Hyperliquid: accounts are public, so only the role of the signer proves a secret ---------------


async def test_hyperliquid_a_wallet_that_the_account_never_approved_fails(tmp_path: Path) -> None:
    pytest.importorskip("eth_account")
    async with serving("hyperliquid") as address:
        good = await checks_of("hyperliquid", address, tmp_path, ACCOUNT, SECRET)
        other = await checks_of("hyperliquid", address, tmp_path, ACCOUNT, OTHER)
        of_wallet = await checks_of("hyperliquid", address, tmp_path, WALLET, SECRET)
        of_nobody = await checks_of("hyperliquid", address, tmp_path, "0x" + "7" * 40, SECRET)
    assert failures(good) == skipped(good) == {}
    assert good["key rights"].text == "reads, trades"
    assert list(failures(other)) == list(failures(of_wallet)) == list(failures(of_nobody)) == ["key"]
    assert failures(other)["key"].startswith("the account approved no API wallet of this secret (its address is 0x")
    assert "the API key is the address of an API wallet" in failures(of_wallet)["key"]
    assert f"is an API wallet of the account {ACCOUNT}, not of 0x7777" in failures(of_nobody)["key"]
    assert set(skipped(other).values()) == {"needs key"}


async def test_hyperliquid_a_master_key_is_named_as_able_to_withdraw(tmp_path: Path) -> None:
    pytest.importorskip("eth_account")
    accounts = (
        AccountConfig(api_key=MASTER, secret=MASTER_SECRET, balances={"USDC": "1000"}),
        AccountConfig(api_key=ACCOUNT, secret=SECRET, balances={"USDC": "1000"}),
    )
    async with serving("hyperliquid", accounts=accounts) as address:
        master = await checks_of("hyperliquid", address, tmp_path, MASTER, MASTER_SECRET)
        strange = await checks_of("hyperliquid", address, tmp_path, ACCOUNT, MASTER_SECRET)
    assert list(failures(master)) == ["key rights"]
    assert "the key is the account's own private key: it may withdraw" in failures(master)["key rights"]
    assert "use the key of an API wallet, or set venue.allow_key_rights" in failures(master)["key rights"]
    assert f"the API secret is the private key of another account, {MASTER}" in failures(strange)["key"]


async def test_hyperliquid_the_clock_is_compared(tmp_path: Path) -> None:
    pytest.importorskip("eth_account")
    async with serving("hyperliquid") as address:
        checks = await checks_of("hyperliquid", address, tmp_path)
    assert list(checks).index("clock") > list(checks).index("instruments")
    assert "s behind ours" in checks["clock"].text or "s ahead of ours" in checks["clock"].text


@pytest.mark.slow
async def test_hyperliquid_a_wrong_wallet_replaces_no_key(tmp_path: Path) -> None:
    pytest.importorskip("eth_account")
    file = tmp_path / "key.toml"

    def write(secret: str) -> None:
        file.write_text(f'api_key = "{ACCOUNT}"\napi_secret = "{secret}"\n', encoding="utf-8")
        file.chmod(0o600)

    write(SECRET)
    answers: list[str] = []

    async def drive(session: LiveSession) -> None:
        path = socket_path(wanted.journals, session.plan.body.session)
        with trio.fail_after(30):
            while session.status().mode != "running":
                await trio.sleep(0.02)
        for secret in (OTHER, SECRET):
            write(secret)
            try:
                send = partial(send_command, path, command="reload_keys", by="test", about="")
                answers.append(str((await trio.to_thread.run_sync(send))["mode"]))
            except ControlError as error:
                answers.append(str(error))
        await session.command(CommandName.STOP, by="test")

    async with serving("hyperliquid") as address:
        values = values_of("hyperliquid", address, tmp_path / "journals", secret_file=str(file))
        read = make_config(values, "test", {})
        wanted = session_config(read, keys=read_keys(read, {}))
        summary = await run_session_config(wanted, drive=drive)
    refused, accepted = answers
    assert "the account approved no API wallet of this secret" in refused
    assert refused.endswith("the keys in use stay")
    assert "keys in use" not in accepted
    assert replay_session(summary.folder).identical
    assert OTHER.removeprefix("0x") not in "".join(record.body or "" for record in Journal.open(summary.folder).records())  # fmt: skip


# ---- Alpaca: each query needs the key ------------------------------------------------------------------


async def test_alpaca_without_a_key_every_signed_query_is_skipped(tmp_path: Path) -> None:
    async with serving("alpaca") as address:
        checks = await checks_of("alpaca", address, tmp_path)
    assert failures(checks) == {}
    assert skipped(checks) == dict.fromkeys(("venue", "instruments", "clock", "filters", "market stream"), "needs key")


async def test_alpaca_a_wrong_secret_is_named_and_not_the_address(tmp_path: Path) -> None:
    async with serving("alpaca") as address:
        checks = await checks_of("alpaca", address, tmp_path, DEMO_KEY, f"{DEMO_SECRET}-wrong")
    assert list(failures(checks)) == ["venue"]
    assert "the venue refuses the key: HTTP 401" in failures(checks)["venue"]
    assert "check VERBATIM_API_KEY" in failures(checks)["venue"]
    assert "venue.rest" not in failures(checks)["venue"]


# ---- words of each venue ----------------------------------------------------------------------------


async def test_request_limits_are_named_as_the_venue_counts(tmp_path: Path) -> None:
    found = {}
    for kind in ("kraken", "coinbase", "alpaca"):
        key, secret = KINDS[kind].credentials or (DEMO_KEY, DEMO_SECRET)
        async with serving(kind) as address:
            found[kind] = (await checks_of(kind, address, tmp_path, key, secret))["instruments"].text
    assert found["kraken"].endswith("a request counter of 15 that falls by 0.33 a second")
    assert found["coinbase"].endswith("30 requests a second, 10000 an hour")
    assert found["alpaca"].endswith("200 request weight a minute")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("kraken", "Kraken has no testnet for spot"),
        ("coinbase", "Coinbase's sandbox answers with fixed texts and has no streams"),
    ],
)
def test_a_network_without_sessions_says_so(tmp_path: Path, kind: str, why: str) -> None:
    values = {"instruments": ["X"], "venue": {"name": KINDS[kind].dialect, "network": "testnet"}, "strategy": {}}
    with pytest.raises(ConfigError) as refused:
        session_config(make_config(values, "test", {}), key=None)
    assert f"venue.network: {why}. What to do: name another network: live or local" in str(refused.value)
