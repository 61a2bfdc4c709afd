"""The simulated Alpaca over real sockets: `verbatim check`, a recording, and account frames that are binary."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from engine.live.session_config import StartError
from engine.live.session_status import Summary
from engine.live.startup import open_session
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET, VenueOptions, serve
from engine.sim.alpaca import PROTOCOL
from journal.reader import Journal
from journal.record import Kind
from journal.verify import verify
from replay.replay import replay_session
from verbatim.checking import check_venue_of
from verbatim.config import Config, make_config, read_keys, recording_config, session_config, with_market_keys
from verbatim.local_checks import Check, CheckStatus
from verbatim.recorder import HOUR_NS, Recorder
from verbatim.sections import ConfigError

NAME = "engine.venues.alpaca:Alpaca"
KEYS = {"VERBATIM_API_KEY": DEMO_KEY, "VERBATIM_API_SECRET": DEMO_SECRET, "VERBATIM_API_NETWORK": "local"}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        ready = await nursery.start(serve, VenueOptions(kind=PROTOCOL))
        yield ready["listening"]
        nursery.cancel_scope.cancel()


def config_of(address: str, journals: Path, **more: object) -> Config:
    sockets = address.replace("http", "ws", 1)
    where = {"name": NAME, "rest": address, "stream": sockets, "private": sockets, "network": "local"} | more
    values = {"instruments": ("AAPL", "BTC/USD"), "venue": where, "session": {"journals": journals}}
    return make_config({**values, "strategy": {}}, "test", {})


async def checks_of(config: Config, environment: dict[str, str]) -> dict[str, Check]:
    found: list[Check] = []
    wanted = session_config(config, keys=read_keys(config, environment))
    await check_venue_of(wanted, allowed_rights={}, report=found.append)
    return {each.name: each for each in found}


@pytest.mark.parametrize("transport", ["standard", "fast"])
async def test_check_passes_with_binary_account_frames(address: str, tmp_path: Path, transport: str) -> None:
    """Trap 13: the frames of the account are binary, those of a feed are text and lists."""
    checks = await checks_of(config_of(address, tmp_path, transport=transport), KEYS)
    assert {each.status for each in checks.values()} == {CheckStatus.OK}, checks
    assert "USD 100000" in checks["key"].text
    assert "accepts the subscription" in checks["account stream"].text
    assert "check on its page of API keys" in checks["key rights"].text


async def test_check_names_a_wrong_secret_and_a_key_of_another_network(address: str, tmp_path: Path) -> None:
    config = config_of(address, tmp_path)
    checks = await checks_of(config, KEYS | {"VERBATIM_API_SECRET": "wrong"})
    assert checks["venue"].status is CheckStatus.FAIL
    assert "401" in checks["venue"].text
    with pytest.raises(ConfigError, match="the key belongs to the network live"):
        read_keys(config, KEYS | {"VERBATIM_API_NETWORK": "live"})


async def test_both_markets_are_recorded_with_a_key_and_without_its_secret(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    config = config_of(address, tmp_path / "journals")
    wanted = with_market_keys(config, recording_config(config))
    ended: list[Summary] = []
    recorder = Recorder(wanted, due_ns=lambda started_ns: started_ns + HOUR_NS, on_end=ended.append)
    with trio.fail_after(30):
        await recorder.run(seconds=1.5)
    [summary] = ended
    assert summary.clean, summary.reason
    records = list(Journal.open(summary.folder).records())
    frames = {record.source for record in records if record.kind is Kind.FEED and record.meta is None}
    assert frames == {"alpaca.stocks.0", "alpaca.crypto.0"}
    assert not [record for record in records if record.kind is Kind.BROKER]
    raw = b"".join(path.read_bytes() for path in summary.folder.iterdir() if path.is_file())
    assert DEMO_SECRET.encode() not in raw
    assert verify(summary.folder).ok
    assert replay_session(summary.folder).identical


async def test_a_recording_without_a_key_says_what_to_set(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    config = config_of(address, tmp_path / "journals")
    with pytest.raises(ConfigError, match="no credentials: set VERBATIM_API_KEY and VERBATIM_API_SECRET"):
        with_market_keys(config, recording_config(config))
    (tmp_path / "journals").mkdir()
    with pytest.raises(StartError, match="describes its instruments to key holders alone"):
        await open_session(recording_config(config))
