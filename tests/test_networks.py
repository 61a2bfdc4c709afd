"""Networks by name: whose addresses a session uses, whether real money is there, and which limits it then states."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.live.session_config import StartError, missing_limits
from engine.live.startup import open_session
from engine.session_record import RiskSettings, VenueSettings
from engine.venues.venue import Network
from engine.venues.venue_lookup import network_of
from verbatim.config import make_config, read_config, recording_config, session_config
from verbatim.config_sections import ConfigError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
STRATEGY = {"quoter": {"file": "quoter.py:Quoter"}}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VERBATIM_"):
            monkeypatch.delenv(name)


def session(**venue: Any) -> Any:
    config = make_config({"instruments": ["BTCUSDT"], "venue": venue, "strategy": STRATEGY}, "test", {})
    return session_config(config, key=None, base=EXAMPLES)


@pytest.mark.parametrize(
    ("network", "rest", "private", "is_real"),
    [
        ("live", "https://api.binance.com", "wss://ws-api.binance.com:443", True),
        ("testnet", "https://testnet.binance.vision", "wss://ws-api.testnet.binance.vision", False),
        ("local", "http://127.0.0.1:9090", "ws://127.0.0.1:9090", False),
    ],
)
def test_a_network_has_its_addresses(network: str, rest: str, private: str, is_real: bool) -> None:
    chosen = session(network=network)
    assert (chosen.venue.rest, chosen.venue.private, chosen.venue.network) == (rest, private, network)
    assert chosen.trades_real_money is is_real


@pytest.mark.parametrize(
    ("addresses", "network"),
    [
        ({"rest": "http://127.0.0.1:1", "stream": "ws://localhost:2", "private": "ws://[::1]:3"}, Network.LOCAL),
        ({"rest": "https://testnet.binance.vision", "stream": "wss://stream.testnet.binance.vision"}, Network.TESTNET),
        ({"rest": "https://testnet.binance.vision", "stream": "wss://stream.binance.com"}, Network.LIVE),
        ({"rest": "https://api.binance.com", "stream": "wss://stream.binance.com:9443"}, Network.LIVE),
        ({"rest": "https://proxy.example", "stream": "wss://proxy.example"}, Network.LIVE),
        ({"rest": "http://127.0.0.1:1", "stream": "wss://proxy.example"}, Network.LIVE),
        ({"rest": "http://127.0.0.1:1", "stream": "ws://127.0.0.1:1", "network": "live"}, Network.LIVE),
    ],
)
def test_addresses_without_a_name_tell_the_network_and_unknown_ones_count_as_live(
    addresses: dict[str, str], network: Network
) -> None:
    assert network_of(VenueSettings(**addresses)) is network


def test_an_address_of_another_network_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"venue.rest: https://api.binance.com belongs to the network live, and venue"
    ):
        session(network="testnet", rest="https://api.binance.com")
    with pytest.raises(ConfigError, match=r"venue.private: .* belongs to the network testnet"):
        session(network="live", private="wss://ws-api.testnet.binance.vision")
    assert session(network="live", rest="https://api-gcp.binance.com").venue.rest == "https://api-gcp.binance.com"


def test_a_venue_without_network_and_addresses_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"name a network \(live, testnet or local\), or the addresses"):
        session(name="binance_spot")
    with pytest.raises(
        ConfigError, match=r"venue.network: binance_coinm has no known rest address of its network local"
    ):
        recording_config(
            make_config({"instruments": ["X"], "venue": {"name": "binance_coinm", "network": "local"}}, "t", {})
        )


@pytest.mark.parametrize(("name", "is_real"), [("testnet", False), ("live", True)])
def test_the_examples_are_sessions_with_all_limits(name: str, is_real: bool) -> None:
    chosen = session_config(read_config(EXAMPLES / f"{name}.toml", {}), key=None, base=EXAMPLES)
    assert (chosen.venue.network, chosen.trades_real_money) == (name, is_real)
    assert missing_limits(chosen.risk) == []


@pytest.mark.parametrize("left_out", ["order_size_max", "order_notional_max", "position_max", "daily_loss_max"])
def test_every_limit_is_required_with_real_money_also_without_a_configuration(tmp_path: Path, left_out: str) -> None:
    """The check is where a session opens, before anything is read or sent."""
    import dataclasses

    limits = {"order_size_max": 1, "order_notional_max": 1, "position_max": 1, "daily_loss_max": 1, left_out: 0}
    chosen = dataclasses.replace(session(network="live"), risk=RiskSettings(**limits), journals=tmp_path / "journals")
    with pytest.raises(StartError, match=rf"^risk\.{left_out}: a session that trades real money states these limits"):
        trio.run(open_session, chosen)
    assert not (tmp_path / "journals").exists()


def test_sessions_that_cannot_trade_need_no_limits() -> None:
    assert not session_config(
        make_config({"instruments": ["BTCUSDT"], "venue": {"network": "live"}}, "test", {}), key=None
    ).trades_real_money
    config = make_config({"instruments": ["BTCUSDT"], "venue": {"network": "live"}, "strategy": STRATEGY}, "test", {})
    dry = session_config(config, key=None, base=EXAMPLES, dry_run=True)
    assert (dry.trades_real_money, dry.read_only, dry.carry, dry.locks_account) == (False, True, False, False)
    assert (dry.on_journal_failure, dry.engine.halt_on_rival) == ("leave", False)
