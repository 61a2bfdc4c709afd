"""Own symbols (B2): strategies, limits and commands name an instrument as its user does; the venue gets its own name."""

import json
from pathlib import Path

import pytest
from checked_sessions import CheckedSessions, check_books
from test_config import KEYS, SAMPLE
from test_risk_config import ROOT

from analysis import sql_session
from engine.live.session_config import SessionConfig
from engine.model import find_instrument
from engine.risk_settings import ScopeLimits
from engine.session_record import RiskSettings
from journal.record import Kind
from verbatim.config import read_config, read_key, session_config
from verbatim.config_sections import ConfigError
from verbatim.start_report import start_lines
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

BTCUSDT = "binance_spot:BTCUSDT"
OWN = "BTC/USD"
LISTED = 'instruments = ["BTCUSDT"]'


def in_own_words(folder: Path, name: str) -> Path:
    """Write a strategy of tests/strategies again, with the own symbol in place of the venue's."""
    text = (ROOT / f"tests/strategies/{name}.py").read_text(encoding="utf-8")
    assert "BTCUSDT" in text
    path = folder / f"{name}.py"
    path.write_text(text.replace("BTCUSDT", OWN), encoding="utf-8")
    return path


def session_of(folder: Path, change: str) -> SessionConfig:
    """Return the session of the sample with another list of instruments, and strategies in own words."""
    strategy = in_own_words(folder, "once")
    head, _, _ = SAMPLE.partition("[strategy.")
    path = folder / "session.toml"
    path.write_text(f'{head.replace(LISTED, change)}\n[strategy.once]\nfile = "{strategy}:Once"\n', encoding="utf-8")
    read = read_config(path, {})
    return session_config(read, key=read_key(read, KEYS), base=folder)


def test_the_configuration_maps_own_symbols_to_the_venues(tmp_path: Path) -> None:
    change = f'instruments = ["{OWN}", "ETHUSDT"]\nsymbols = {{ "{OWN}" = "BTCUSDT" }}'
    session = session_of(tmp_path, change)
    assert (session.symbols, session.venues[0].own_symbols) == (("BTCUSDT", "ETHUSDT"), {"BTCUSDT": OWN})
    assert f"instruments {OWN} (BTCUSDT), ETHUSDT" in start_lines(session)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('instruments = ["A"]\nsymbols = { A = "BTCUSDT", B = "BTCUSDT" }', "symbols: A and B are both BTCUSDT"),
        ('instruments = ["A"]\nsymbols = { A = "B", B = "C" }', "symbols.B: B is the venue's symbol of another one"),
        ('instruments = ["A", "BTCUSDT"]\nsymbols = { A = "BTCUSDT" }', "instruments: BTCUSDT is listed twice"),
        ('instruments = ["A"]\nsymbols = { "a:b" = "BTCUSDT" }', "symbols.a:b"),
        ('instruments = ["A"]\nsymbols = { "*" = "BTCUSDT" }', "symbols.*"),
    ],
)
def test_a_name_stands_for_one_instrument(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        session_of(tmp_path, change)
    assert said in str(error.value)


def started(begin: CheckedSessions, tmp_path: Path) -> tuple[VirtualVenue, VirtualSession]:
    venue = VirtualVenue(symbols=("BTCUSDT", "ETHUSDT"))
    once = strategy_settings(in_own_words(tmp_path, "once"), "Once", parameters={"below": "100", "orders": 2})
    risk = RiskSettings(instrument={OWN: ScopeLimits(open_orders_max=7)}, sell_holdings=True)
    session = begin(venue, once, risk=risk, own_symbols={"BTCUSDT": OWN})
    return venue, session.run(10, until=lambda s: bool(s.state.account.orders.live)).run(1)


def test_a_strategy_trades_under_its_own_symbol_and_the_venue_gets_its_own(
    begin: CheckedSessions, tmp_path: Path
) -> None:
    venue, session = started(begin, tmp_path)
    [placed] = [
        body for record in session.kinds(Kind.REQUEST) if (body := json.loads(record.body or ""))["purpose"] == "place"
    ]
    assert ["symbol", "BTCUSDT"] in placed["unsigned"]["params"]
    assert (placed["instrument"], placed["order"]["instrument"]) == (BTCUSDT, BTCUSDT)
    assert [each["symbol"] for each in venue.get("/sim/state")["open_orders"]] == ["BTCUSDT"]
    verdict = json.loads(session.kinds(Kind.VERDICT)[0].body or "")
    assert verdict["figures"]["open_orders_max"] == ["0", "7", "1"], "the limit under the own symbol"
    check_books(session)


def test_commands_and_recorded_sessions_know_the_own_symbol(begin: CheckedSessions, tmp_path: Path) -> None:
    _, session = started(begin, tmp_path)
    context = session.sequencer.kernel.session
    assert find_instrument(context.instruments, OWN) == context.instruments[BTCUSDT]
    names = (OWN, "BTCUSDT", BTCUSDT, "USDT", "ETHUSDT")
    assert [context.recorded_name(name) for name in names] == [BTCUSDT, *names[1:]]
    session.command("resume_instrument", about=OWN)
    assert session.body.instruments[0].own_symbol == OWN


def test_sql_shows_the_registry(begin: CheckedSessions, tmp_path: Path) -> None:
    _, session = started(begin, tmp_path)
    session.writer.wait_durable(session.records[-1].seq, 60)
    query = """
        SELECT instrument, own_symbol, venue_symbol, venue, price_decimals, quantity_decimals, tick_size, lot_size,
               multiplier, inverse
        FROM instruments ORDER BY instrument
    """
    btc, eth = session.body.instruments
    assert sql_session.query_rows(sql_session.connect([session.folder]), query) == [
        (each.id, own, each.symbol, each.venue, each.price_scale, each.size_scale, each.tick_size, each.lot_size, 1, False)
        for each, own in ((btc, OWN), (eth, "ETHUSDT"))
    ]  # fmt: skip
    joined = "SELECT own_symbol, count(*) FROM orders JOIN instruments USING (session, instrument) GROUP BY own_symbol"
    assert sql_session.query_rows(sql_session.connect([session.folder]), joined) == [(OWN, 1)]
