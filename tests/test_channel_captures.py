"""Captures of Hyperliquid and Kraken: their public channels show the instruments, and they trade on paper."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace
from test_paper_venues import JOINER, MODEL, fills_of

from engine.model import Instrument
from engine.session_record import VenueSettings
from engine.venues.captured_market import CapturedMarket, CaptureMessage, CaptureMessages
from engine.venues.venue_lookup import captured_markets
from journal.reader import Journal
from journal.verify import verify
from replay.replay import replay_session
from replay.resim.capture_session import read_capture
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.cli import main
from verbatim.testing import from_sources

D = Decimal
TICK = b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":%s,"bid_qty":0.5,"ask":60000.2,"ask_qty":1.25}]}'
KRAKEN_TRADE = (
    b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":60000.25,"qty":0.00000001,'
    b'"ord_type":"market","trade_id":1,"timestamp":"2026-10-06T11:17:09.112134Z"}]}'
)
BBO = b'{"channel":"bbo","data":{"coin":"ETH","time":1737918843893,"bbo":[{"px":"%s","sz":"1.5","n":1},null]}}'
PERP_TRADE = (
    b'{"channel":"trades","data":[{"coin":"ETH","side":"B","px":"3300.1","sz":"0.0125","time":1737918843893,"tid":7}]}'
)


def markets(payloads: Iterable[bytes]) -> list[CapturedMarket]:
    """Return the markets of a capture with one file."""
    messages = [CaptureMessage(seq, "file", None, payload) for seq, payload in enumerate(payloads, 1)]
    return captured_markets(CaptureMessages(lambda: messages))


def grid(instrument: Instrument) -> tuple[str, str, str, Decimal, Decimal, str]:
    return (
        instrument.id, instrument.base, instrument.quote, instrument.tick_size, instrument.lot_size, instrument.contract
    )  # fmt: skip


def imported(capture: Path, into: Path, *words: str) -> Journal:
    main(["import", str(capture), *words, "--into", str(into)], standalone_mode=False)
    return Journal.open(into)


def test_a_capture_of_hyperliquid_trades(tmp_path: Path, shared_data: Path) -> None:
    journal = imported(shared_data / "captures/hyperliquid/btcusd_20250126.gz", tmp_path / "capture")
    found = read_capture(journal)
    [btc] = found.body.instruments
    assert grid(btc) == ("hyperliquid:BTC", "BTC", "USDC", D(1), D("0.00001"), "PERPETUAL")
    assert (btc.price_digits, btc.margin, btc.quotes_from_book) == (5, "USDC", True)
    assert found.body.venues == (VenueSettings(name="hyperliquid", kind="captured:hyperliquid"),)
    joiner = from_sources({"joiner": JOINER}, "joiner", "Joiner")
    body = replace(found.body, strategies=(joiner,))
    options = ResimOptions(session=body, model=MODEL, balances={"USDC": "100000"})
    resimulate(tmp_path / "capture", tmp_path / "tested", options)
    assert len(fills_of(Journal.open(tmp_path / "tested").records())) == 2
    assert verify(tmp_path / "tested").ok
    assert replay_session(tmp_path / "tested").identical


def test_a_capture_of_kraken_shows_its_pair(tmp_path: Path, shared_data: Path) -> None:
    """Its messages have no receive times, so all of them are of one moment: nothing can be traded."""
    words = ("--format", "ndjson", "--time-unit", "none")
    journal = imported(shared_data / "captures/kraken-v2/doge_usdt_book10.jsonl", tmp_path / "capture", *words)
    found = read_capture(journal)
    [doge] = found.body.instruments
    assert grid(doge) == ("kraken:DOGE/USDT", "DOGE", "USDT", D("0.00001"), D("0.00000001"), "")
    assert found.body.venues == (VenueSettings(name="kraken", kind="captured:kraken"),)


def test_the_grid_is_the_finest_of_all_messages_and_foreign_ones_show_nothing() -> None:
    damaged = (b'{"channel":"ticker","data":[{"symbol":1}]}', b'{"channel":"trade","data":', b'{"channel":"trade"}')
    [kraken] = markets([*damaged, TICK % b"60000.1", KRAKEN_TRADE])
    [btc] = kraken.instruments
    assert grid(btc) == ("kraken:BTC/USD", "BTC", "USD", D("0.01"), D("0.00000001"), "")
    assert (kraken.has_books, btc.quotes_from_book, kraken.inferred) == (False, False, ("BTC/USD",))
    [perps] = markets([b'{"channel":"pong"}', BBO % b"3300", PERP_TRADE])
    [eth] = perps.instruments
    assert grid(eth) == ("hyperliquid:ETH", "ETH", "USDC", D("0.1"), D("0.0001"), "PERPETUAL")
    assert markets([b'{"channel":"subscriptionResponse","data":{}}', b'{"channel":"ticker","data":[]}']) == []


def test_both_venues_in_one_capture_are_two_markets() -> None:
    assert [each.venue for each in markets([TICK % b"60000.1", BBO % b"3300"])] == ["hyperliquid", "kraken"]


def test_a_price_that_no_fold_keeps_is_left_out_with_the_reason() -> None:
    [found] = markets([BBO % b"9007199254740993", BBO % b"0.25"])
    assert found.instruments == ()
    assert found.refused == (("ETH", "a price of 9.00719925474099e+15 with 2 decimal places is above 2^53 steps"),)
