"""Configurations of several venues and accounts: names, keys that belong to networks, instruments, what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_halted_end import summary

from engine.live.session_config import SessionConfig
from engine.live.session_end import EndedBy
from engine.venue_choices import AccountUse, VenueTrouble
from verbatim.config import make_config, read_keys, recording_config, session_config, venues_of
from verbatim.config_sections import ConfigError
from verbatim.credentials import key_source
from verbatim.runner import SessionWatch
from verbatim.start_report import start_values
from verbatim.strategy_files import StrategyError

BOTH = f"{Path(__file__).parent}/strategies/both.py:Both"
KEYS = {
    "VERBATIM_API_KEY_FIRST": "key-1",
    "VERBATIM_API_SECRET_FIRST": "secret-1",
    "VERBATIM_API_KEY_TWO": "key-2",
    "VERBATIM_API_SECRET_TWO": "secret-2",
}
VALUES: dict[str, Any] = {
    "instruments": ["one:BTCUSDT", "two:BTCUSDT"],
    "venue": {
        "one": {"kind": "binance_spot", "network": "local"},
        "two": {"kind": "binance_spot", "network": "testnet", "transport": "fast"},
    },
    "account": {"first": {"venue": "one"}, "two": {}},
    "strategy": {"both": {"file": BOTH}},
}


def changed(**tables: Any) -> dict[str, Any]:
    """Return the values with other tables."""
    return VALUES | tables


def session(values: dict[str, Any] = VALUES, keys: dict[str, str] = KEYS) -> SessionConfig:
    read = make_config(values, "test", keys)
    return session_config(read, keys=read_keys(read, keys))


def test_each_venue_has_its_addresses_account_and_key() -> None:
    chosen = session(changed(session={"on_venue_trouble": "own"}))
    one, two = chosen.venues
    assert (one.settings.name, one.settings.kind, one.settings.rest) == ("one", "binance_spot", "http://127.0.0.1:9090")
    assert (two.settings.name, two.settings.network, two.transport) == ("two", "testnet", "fast")
    assert chosen.accounts == {"one": "first", "two": "two"}
    assert one.key is not None
    assert two.key is not one.key
    assert (one.instrument_ids, two.instrument_ids) == (("one:BTCUSDT",), ("two:BTCUSDT",))
    assert chosen.engine.on_venue_trouble is VenueTrouble.OWN
    report = start_values(chosen)
    assert report["account"] == "first at one; two at two"
    assert report["instruments"] == "one:BTCUSDT, two:BTCUSDT"
    assert report["network"] == "local, testnet"


def test_an_account_may_be_watched_and_a_venue_may_have_none() -> None:
    watched = session(changed(account={"first": {"venue": "one"}, "two": {"use": "watches"}}))
    assert [each.settings.use for each in watched.venues] == [AccountUse.TRADES, AccountUse.WATCHES]
    market = session(changed(account={"first": {"venue": "one"}}))
    assert [each.settings.use for each in market.venues] == [AccountUse.TRADES, AccountUse.NONE]
    assert market.accounts == {"one": "first"}
    assert start_values(market)["account"] == "first at one; none at two"


def test_a_table_without_a_name_is_one_venue() -> None:
    values = changed(instruments=["BTCUSDT"], venue={"network": "local"}, account={}, strategy={})
    [venue] = venues_of(make_config(values, "test", {}))
    assert (venue.where, venue.settings.name, venue.settings.kind, venue.alias) == ("venue", "binance_spot", "", "main")
    values["account"] = {"other": {}}
    [venue] = venues_of(make_config(values, "test", {}))
    assert (venue.alias, venue.settings.account) == ("other", "")


def test_the_key_of_the_only_account_is_in_the_variables_with_and_without_its_name() -> None:
    values = changed(instruments=["BTCUSDT"], venue={"network": "local"}, account={"two": {}}, strategy={})
    for keys in (KEYS, {"VERBATIM_API_KEY": "key", "VERBATIM_API_SECRET": "secret"}):
        assert session(values, keys).venues[0].key is not None


def test_own_symbols_name_a_venue_too() -> None:
    chosen = session(changed(instruments=["BTC-USDT", "two:BTCUSDT"], symbols={"BTC-USDT": "one:BTCUSDT"}))
    assert chosen.venues[0].own_symbols == {"BTCUSDT": "BTC-USDT"}


def test_a_recording_has_no_account_and_several_venues() -> None:
    chosen = recording_config(make_config(changed(strategy={}, account={}), "test", {}))
    assert (chosen.account, chosen.accounts, [each.name for each in chosen.venues]) == ("", {}, ["one", "two"])


@pytest.mark.parametrize(
    ("tables", "keys", "text"),
    [
        ({"account": {"x": {"venue": "nine"}}}, KEYS, r"account.x.venue: there is no \[venue.nine\]; there is one, two"),
        ({"account": {"a": {"venue": "one"}, "b": {"venue": "one"}}}, KEYS, r"a is the account of that venue already"),
        ({"instruments": ["BTCUSDT"]}, KEYS, r"instruments: BTCUSDT names no venue of the session.*VENUE:SYMBOL"),
        ({"instruments": ["one:BTCUSDT"]}, KEYS, r"instruments: the list has no instrument of venue two"),
        ({}, {}, r"no credentials: set VERBATIM_API_KEY_FIRST and VERBATIM_API_SECRET_FIRST"),
        ({}, KEYS | {"VERBATIM_API_NETWORK_TWO": "live"}, r"key belongs to the network live, and venue.two.network is te"),
        ({}, KEYS | {"VERBATIM_API_KEY_TWO": "key-1"}, r"account.two: its key is that of account.first, and their netw"),
        ({"venue": {"one": {"kind": "no", "network": "local"}}, "account": {}}, KEYS, r"venue.one.kind: no venue 'no'"),
        ({"venue": {"one": {"name": "x", "network": "local"}}, "account": {}}, KEYS, r"venue.one.name: its table names"),
        ({"venue": {"one": {"netwrk": "local"}}}, KEYS, r"venue.one.netwrk: unknown name .did you mean 'network'"),
        ({"account": {}}, KEYS, r"account: no venue has an account"),
        ({"session": {"account": "main"}}, KEYS, r"session.account: the accounts have tables.*What to do: remove sess"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_in_words(tables: dict[str, Any], keys: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        session(changed(**tables), keys)


def test_one_account_under_two_names_is_refused() -> None:
    local = {"kind": "binance_spot", "network": "local"}
    values = changed(venue={"one": local, "two": local})
    with pytest.raises(ConfigError, match=r"account.two: its key is that of account.first, at the same address"):
        session(values, KEYS | {"VERBATIM_API_KEY_TWO": "key-1"})
    assert session(values).venues[1].key is not None, "two accounts of one exchange"
    other = changed(venue={"one": local, "two": {"kind": "binance_usdm", "network": "local"}}, strategy={})
    assert session(other, KEYS | {"VERBATIM_API_KEY_TWO": "key-1"}).venues[1].key is not None, "another market"


def test_a_refused_key_is_named_by_its_own_variables_file_or_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VERBATIM_API_KEY_FIRST", "VERBATIM_API_SECRET_FIRST"):
        monkeypatch.setenv(name, KEYS[name])
    file = tmp_path / "two.toml"
    file.write_text('api_key = "k"\napi_secret = "s"\n', encoding="utf-8")
    file.chmod(0o600)
    chosen = session(changed(account={"first": {"venue": "one"}, "two": {"secret_file": str(file)}}), KEYS)
    sources = [each.key_source for each in chosen.venues]
    assert sources == ["VERBATIM_API_KEY_FIRST and VERBATIM_API_SECRET_FIRST", str(file)]
    read = make_config(changed(account={"two": {"keyring": "ours"}}), "test", {})
    assert key_source(venues_of(read)[1], is_only=False, environment={}).endswith("of ours")
    status = summary("syncing", EndedBy.CLOSED).last
    watch = SessionWatch(chosen.venues)
    watch(msgspec.structs.replace(status, key_refused="two refused our key: -2015 Invalid API-key."))
    assert watch.refusal == f"two refused our key: -2015 Invalid API-key; check {file}"


def test_a_strategy_that_names_a_symbol_of_two_venues_is_refused() -> None:
    values = changed(strategy={"both": {"file": BOTH, "parameters": {"first": "BTCUSDT"}}})
    with pytest.raises(StrategyError, match="trades BTCUSDT, which `instruments` does not list"):
        session(values)


def test_a_secret_file_states_the_network_of_its_key(tmp_path: Path) -> None:
    file = tmp_path / "key.toml"
    file.write_text('api_key = "k"\napi_secret = "s"\nnetwork = "live"\n', encoding="utf-8")
    file.chmod(0o600)
    values = changed(account={"first": {"venue": "one"}, "two": {"secret_file": str(file)}})
    keys = {name: text for name, text in KEYS.items() if not name.endswith("_TWO")}
    with pytest.raises(ConfigError, match=r"key.toml: the key belongs to the network live, and venue.two.network"):
        session(values, keys)
    values["venue"] = VALUES["venue"] | {"two": {"kind": "binance_spot", "network": "live"}}
    values["strategy"] = {}  # a session with real money states limits
    assert session(values, keys).venues[1].key is not None
