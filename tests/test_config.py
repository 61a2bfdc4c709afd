"""Configuration: where a setting may be, which source overrides which, and one clear line for every error."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from engine.session_record import SAFETY, SECOND_NS, SafetySettings, read_session
from engine.strategy.source_guard import StrategyError
from journal.reader import Journal
from journal.writer_options import Release
from replay.overrides import apply_overrides
from verbatim.config import OTHER_VARIABLES, read_config, read_key, recording_config, session_config
from verbatim.config_sections import ConfigError
from verbatim.secret_files import read_secret_file
from verbatim.strategy_files import read_strategy

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = (ROOT / "examples/demo.toml").read_text(encoding="utf-8")
Write = Callable[..., Path]
GOLDEN = Path(__file__).parent / "golden"
KEYS = {"VERBATIM_API_KEY": "the-key", "VERBATIM_API_SECRET": "the-secret"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    for name in list(os.environ):
        if name.startswith("VERBATIM_"):
            monkeypatch.delenv(name)

    def write(text: str = SAMPLE) -> Path:
        path = tmp_path / "session.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_sample_is_a_session(config: Write) -> None:
    read = read_config(config())
    session = session_config(read, key=read_key(read, KEYS), base=ROOT / "examples")
    assert session.symbols == ("BTCUSDT",)
    assert [strategy.name for strategy in session.strategies] == ["quoter", "cross"]
    assert session.strategies[0].parameters == {"value": "60"}
    assert session.risk.order_size_max == Decimal("0.01")
    assert session.engine.reconcile_every_ns == 60 * SECOND_NS
    assert session.venue.rest == "http://127.0.0.1:9090"


def test_resting_orders_are_protected_by_default_and_left_by_choice(config: Write) -> None:
    def safety(text: str) -> SafetySettings:
        read = read_config(config(text))
        return session_config(read, key=read_key(read, KEYS), base=ROOT / "examples").safety

    assert safety(SAMPLE) == SAFETY
    left = 'on_failure = "leave"\ndead_man_s = 0\non_blind = { after_s = 5, then = "leave" }\n'
    assert safety(SAMPLE.replace("[session]\n", f"[session]\n{left}")) == SafetySettings(pursues=True)
    timed = safety(SAMPLE.replace("[session]\n", "[session]\non_blind = { after_s = 5 }\n"))
    assert timed.blind_after_ns == 5 * SECOND_NS


def test_the_environment_outdoes_the_file(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_RISK__ORDER_SIZE_MAX", "0.5")
    monkeypatch.setenv("VERBATIM_SESSION__ACCOUNT", "other")
    read = read_config(config())
    assert (read.risk.order_size_max, read.session.account) == (Decimal("0.5"), "other")
    assert read.risk.open_orders_max == 10  # the rest of the section is the file's


def test_a_price_in_the_file_is_what_is_written_there(config: Write) -> None:
    read = read_config(config(SAMPLE.replace('"0.05"', "0.1")))
    assert read.risk.position_max == Decimal("0.1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[risk]", "[risk]\norder_size_maximum = 1"), "risk.order_size_maximum: unknown name"),
        (("[risk]", "[risks]"), "risks: unknown name"),
        (("[risk]", "[risk"), "is not valid TOML"),
        (('instruments = ["BTCUSDT"]', "instruments = []"), "instruments: "),
        (('rest = "http', 'rest = "ftp'), "venue.rest: "),
        (("[risk]", "[risk]\norders = 'x'"), "risk.orders: unknown name"),
        (("[venue]", '[venue]\napi_secret = "xyzzy"'), "api_secret does not belong into the configuration"),
        (("reconcile_every_s = 60", 'reconcile_every_s = "xyzzy"'), "engine.reconcile_every_s: "),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line_without_its_values(
    config: Write, change: tuple[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as found:
        read_config(config(SAMPLE.replace(*change)))
    text = str(found.value)
    assert said in text
    assert "\n" not in text
    assert "xyzzy" not in text


@pytest.mark.parametrize(
    ("line", "profile"),
    [("", "standard"), ('transport = "fast"', "fast"), ('http = "direct"', "fast"), ('http = "httpx"', "standard")],
)
def test_the_transport_is_one_setting_and_its_old_name_still_works(config: Write, line: str, profile: str) -> None:
    sample = "".join(row for row in SAMPLE.splitlines(keepends=True) if not row.startswith("transport"))
    read = read_config(config(sample.replace("[venue]", f"[venue]\n{line}")))
    assert recording_config(read).venues[0].transport.value == profile


@pytest.mark.parametrize("release", Release)
def test_an_order_waits_for_its_record_to_be_durable_unless_the_configuration_says_written(
    config: Write, release: Release
) -> None:
    assert read_config(config()).session.orders_wait_for is Release.DURABLE
    read = read_config(config(SAMPLE.replace("[session]", f'[session]\norders_wait_for = "{release}"')))
    assert read.session.orders_wait_for is release
    with pytest.raises(ConfigError, match=r"session.orders_wait_for"):
        read_config(config(SAMPLE.replace("[session]", '[session]\norders_wait_for = "sent"')))


def test_both_names_of_the_transport_are_too_many(config: Write) -> None:
    with pytest.raises(ConfigError, match=r"venue: .*http is the old name of transport; remove it"):
        read_config(config(SAMPLE.replace("[venue]", '[venue]\nhttp = "direct"')))


@pytest.mark.parametrize(
    ("name", "address", "why"),
    [
        ("rest", f"https://{'a' * 64}.example", "1 to 63 letters: 'aaaa"),
        ("rest", "https://:443", "1 to 63 letters: ''"),
        ("stream", "wss://one..two", "1 to 63 letters"),
        ("stream", "wss://host:99999", "Port out of range"),
        ("private", "wss://host:ws", "Port could not be cast"),
        ("private", "wss://host:0", "port 0 is no address"),
        ("rest", "https://two words", "no spaces and ASCII alone"),
        ("rest", "https://b\u00f6rse.example", "write a host's name in its form xn--"),
        ("rest", "https://[::1", "Invalid IPv6 URL"),
    ],
)
def test_an_address_to_which_no_transport_connects_is_refused(config: Write, name: str, address: str, why: str) -> None:
    sample = "".join(row for row in SAMPLE.splitlines(keepends=True) if not row.startswith(f"{name} "))
    with pytest.raises(ConfigError, match=rf": venue\.{name}: .*{why}"):
        read_config(config(sample.replace("[venue]", f'[venue]\n{name} = "{address}"')))


def test_unknown_names_in_the_environment_are_errors(config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_RISKS__ORDER_SIZE_MAX", "1")
    with pytest.raises(ConfigError, match="VERBATIM_RISKS__ORDER_SIZE_MAX: unknown name"):
        read_config(config())
    monkeypatch.delenv("VERBATIM_RISKS__ORDER_SIZE_MAX")
    monkeypatch.setenv("VERBATIM_RISK__ORDER_SIZE_MIN", "1")
    with pytest.raises(ConfigError, match=r"risk.order_size_min: unknown name"):
        read_config(config())


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*nothing.toml: No such file"):
        read_config(tmp_path / "nothing.toml")


def test_keys_come_from_the_environment_or_a_private_file(config: Write, tmp_path: Path) -> None:
    read = read_config(config())
    assert repr(read_key(read, KEYS)) == "ApiKey(hmac, ***)"
    with pytest.raises(ConfigError, match="no credentials: set VERBATIM_API_KEY"):
        read_key(read, {})
    with pytest.raises(ConfigError, match="one is missing"):
        read_key(read, {"VERBATIM_API_KEY": "the-key"})
    secret = tmp_path / "key.toml"
    secret.write_text('api_key = "the-key"\napi_secret = "the-secret"\n', encoding="utf-8")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by other users"):
        read_secret_file(secret)
    secret.chmod(0o600)
    assert repr(read_secret_file(secret)) == "Credentials()"
    named = config(SAMPLE.replace("[venue]", '[venue]\nsecret_file = "key.toml"'))
    assert repr(read_key(read_config(named), {}, base=named.parent)) == "ApiKey(hmac, ***)"


def test_a_broken_secret_file_is_said_without_its_text(tmp_path: Path) -> None:
    secret = tmp_path / "key.toml"
    secret.write_text('api_key = "xyzzy"\napi_sekret = "plugh"\n', encoding="utf-8")
    secret.chmod(0o600)
    with pytest.raises(ConfigError) as found:
        read_secret_file(secret)
    assert "xyzzy" not in str(found.value)
    assert "plugh" not in str(found.value)


def test_a_strategy_comes_with_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sizes.py").write_text("SIZE = '0.001'\n", encoding="utf-8")
    (tmp_path / "unused.py").write_text("import os\n", encoding="utf-8")
    text = (ROOT / "examples/quoter.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text("import sizes\n" + text, encoding="utf-8")
    read = read_strategy("mine.py:Quoter", base=tmp_path)
    assert sorted(read.sources) == ["mine", "sizes"]
    assert (read.name, read.module, read.cls, read.version) == ("mine", "mine", "Quoter", "1")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere.py:Quoter", "cannot read the strategy .*nowhere.py: No such file"),
        ("quoter.py:Quotter", r"quoter.py has no class Quotter.*; strategies in it: .*Quoter"),
        ("demo.toml", "is not a strategy file"),
    ],
)
def test_an_unknown_strategy_is_said(spec: str, said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        read_strategy(spec, base=ROOT / "examples")


def test_what_a_strategy_trades_must_be_listed(config: Write) -> None:
    eth = SAMPLE.replace('instruments = ["BTCUSDT"]', 'instruments = ["ETHUSDT"]')
    assert eth != SAMPLE
    with pytest.raises(
        StrategyError, match=r"strategy \w+ trades BTCUSDT, which `instruments` does not list; it has ETHUSDT"
    ):
        session_config(read_config(config(eth), {}), key=None, base=ROOT / "examples")


@pytest.mark.parametrize("name", ["krakatoa", "krakatoa:Venue", "engine.session_record:Venue"])
def test_an_unknown_venue_is_said_with_those_there_are(config: Write, name: str) -> None:
    strange = SAMPLE.replace('name = "binance_spot"', f'name = "{name}"')
    with pytest.raises(
        ConfigError,
        match=rf"venue.name: no venue '{name}'.*installed: alpaca, binance_coinm, binance_spot, .*binance_usdm",
    ):
        session_config(read_config(config(strange), {}), key=None, base=ROOT / "examples")


@pytest.mark.parametrize("name", ["os:path", "json:JSONDecoder"])
def test_a_class_that_is_no_venue_is_refused(config: Write, name: str) -> None:
    strange = SAMPLE.replace('name = "binance_spot"', f'name = "{name}"')
    with pytest.raises(
        ConfigError, match=rf"venue.name: '{name}' is not a venue's class .docs/venues.md.; installed: "
    ):
        session_config(read_config(config(strange), {}), key=None, base=ROOT / "examples")


def test_the_same_file_records_without_account_key_and_strategies(config: Write) -> None:
    read = read_config(config())
    session = recording_config(read)
    assert (session.account, session.venues[0].key, session.strategies, session.venue.private) == ("", None, (), "")
    assert (session.symbols, session.venue.rest) == (("BTCUSDT",), "http://127.0.0.1:9090")


def test_what_a_recording_needs_is_too_little_for_a_trader(config: Write) -> None:
    bare = 'instruments = ["BTCUSDT"]\n[venue]\nrest = "http://x"\nstream = "ws://x"\n'
    assert recording_config(read_config(config(bare))).symbols == ("BTCUSDT",)
    with pytest.raises(ConfigError, match=r"venue.private: a session that trades needs the address"):
        session_config(read_config(config(bare)), key=None)


@pytest.mark.parametrize(
    ("old", "now"), [("ask_every_s", "order_query_interval_s"), ("watch_every_s", "check_interval_s")]
)
def test_old_names_of_settings_keep_working(config: Write, monkeypatch: pytest.MonkeyPatch, old: str, now: str) -> None:
    """In the file and in the environment; messages name the setting as it is called now."""
    in_file = read_config(config(SAMPLE.replace("[engine]", f"[engine]\n{old} = 3")))
    assert getattr(in_file.engine, now) == 3
    monkeypatch.setenv(f"VERBATIM_ENGINE__{old.upper()}", "4")
    assert getattr(read_config(config()).engine, now) == 4
    monkeypatch.delenv(f"VERBATIM_ENGINE__{old.upper()}")
    assert getattr(read_config(config(SAMPLE.replace("[engine]", f"[engine]\n{now} = 5"))).engine, now) == 5
    with pytest.raises(ConfigError, match=rf"engine\.({old}|{now})"):
        read_config(config(SAMPLE.replace("[engine]", f"[engine]\n{old} = 0")))


def test_old_names_of_settings_can_be_overridden() -> None:
    session = read_session(Journal.open(GOLDEN / "v2").session_record().body or "")
    for name in ("engine.ask_every_ns", "engine.order_query_interval_ns"):
        assert apply_overrides(session, {name: "7"}).engine.order_query_interval_ns == 7


def test_a_variable_that_any_of_our_programs_reads_is_no_misspelt_setting() -> None:
    root = Path(__file__).resolve().parent.parent
    folders = ("engine", "journal", "replay", "analysis", "verbatim", "tests", "benchmarks")
    texts = [path.read_text() for folder in folders for path in (root / folder).rglob("*.py")]
    pattern = re.compile(r"environ(?:\.get\(|\[)\"(VERBATIM_[A-Z_]+)\"")
    read = {name for text in texts for name in pattern.findall(text)}
    assert read >= {"VERBATIM_COPIES", "VERBATIM_CLIENTS"}
    assert read <= OTHER_VARIABLES
