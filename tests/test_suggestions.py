"""A misspelt name is refused with the name that it most likely means, wherever a person writes one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.session_record import RuleSettings, VenueSettings
from engine.sim.venue_model import UnknownSettingError, VenueModel, with_settings
from engine.strategy.rule_loading import load_rules
from engine.strategy.source_guard import StrategyError
from engine.suggestions import nearest, suggestion
from engine.venues.venue_lookup import UnknownVenueError, venue_class
from verbatim.cli import main
from verbatim.config import make_config
from verbatim.config_sections import ConfigError
from verbatim.strategy_files import check_instruments, read_strategy

ONCE = Path(__file__).parent / "strategies" / "once.py"


def test_the_likeliest_name_comes_first_and_an_unlike_name_gets_none() -> None:
    assert nearest("replya", ["replay", "record", "prune"]) == ["replay"]
    assert suggestion("BTCUSD", ["ETHUSDT", "BTCUSDT"]) == " (did you mean 'BTCUSDT'?)"
    assert suggestion("btcusdt", ["BTCUSDT"]) == " (did you mean 'BTCUSDT'?)"  # case alone differs
    assert suggestion("colour", ["size", "price"]) == ""
    assert suggestion("x", []) == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"risk": {"order_sise_max": 1}}, "risk.order_sise_max: unknown name (did you mean 'order_size_max'?)"),
        ({"rsik": {}}, "rsik: unknown name (did you mean 'risk'?)"),
        ({"strategy": {"a": {"fiel": "x"}}}, "strategy.a.fiel: unknown name (did you mean 'file'?)"),
        ({"session": {"on_blind": {"after": 1}}}, "session.on_blind.after: unknown name (did you mean 'after_s'?)"),
        ({"risk": {"colour": 1}}, "risk.colour: unknown name"),
    ],
)
def test_a_misspelt_name_of_the_configuration(values: dict[str, object], message: str) -> None:
    whole = {"instruments": ("BTCUSDT",), "venue": {"name": "binance_spot", "network": "testnet"}, **values}
    if "strategy" in values:
        whole["strategy"] = {"a": {"file": "x.py", "fiel": "x"}}
    with pytest.raises(ConfigError) as error:
        make_config(whole, "session.toml", {})
    assert str(error.value) == f"session.toml: {message}"


def test_a_misspelt_variable_of_the_environment() -> None:
    with pytest.raises(ConfigError, match=r"VERBATIM_API_KYE: unknown name \(did you mean 'VERBATIM_API_KEY'\?\)"):
        make_config({}, "session.toml", {"VERBATIM_API_KYE": "x"})


def test_a_misspelt_strategy_parameter_class_or_instrument() -> None:
    known = read_strategy(str(ONCE))
    with pytest.raises(StrategyError, match=r"unknown parameter 'szie' \(did you mean 'size'\?\); known: "):
        read_strategy(str(ONCE), parameters={"szie": "1"})
    with pytest.raises(StrategyError, match=rf"has no class {known.cls}s \(did you mean '{known.cls}'\?\)"):
        read_strategy(f"{ONCE}:{known.cls}s")
    with pytest.raises(StrategyError, match=r"does not list \(did you mean 'BTCUSDC'\?\); it has BTCUSDC, ETHUSDT"):
        check_instruments([known], ("BTCUSDC", "ETHUSDT"), listed="`instruments`")


def test_a_misspelt_risk_rule_or_setting_of_one() -> None:
    with pytest.raises(StrategyError, match=r"no risk rule 'notional_mim' \(did you mean 'notional_min'\?\)"):
        load_rules([RuleSettings("notional_mim")])


def test_a_misspelt_venue_or_setting_of_its_model() -> None:
    with pytest.raises(UnknownVenueError, match=r"no venue 'binance_spto' \(did you mean 'binance_spot'\?\)"):
        venue_class(VenueSettings(name="binance_spto"))
    with pytest.raises(UnknownSettingError, match=r"has no 'latencey' \(did you mean 'latency'\?\); it has: "):
        with_settings(VenueModel(), {"latencey": "fixed"})


def test_a_misspelt_last(tmp_path: Path) -> None:
    for words in (["replay", "lsat", "--journals", str(tmp_path)], ["sql", "latest", "--journals", str(tmp_path)]):
        assert "Did you mean 'last'?" in CliRunner().invoke(main, words).stderr
    empty = CliRunner().invoke(main, ["replay", "last", "--journals", str(tmp_path)]).stderr
    assert "no session" in empty, empty
    assert "Did you mean" not in empty, "it is the name that was typed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replya", "last"], "No such command 'replya'. (did you mean 'replay'?)"),
        (["replay", "last", "--stritc"], "--strict"),
        (["xyzzy"], "No such command 'xyzzy'.\n"),
    ],
)
def test_a_misspelt_command_or_option(words: list[str], message: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert message in result.output
