"""Margin of the simulated USD-M futures by hand-computed examples: funding, liquidation, deleveraging, settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from sim_transcript import KEY, OTHER_KEY, OTHER_SECRET, SECRET, short
from usdm_transcript import FuturesClient, answer, quiet_contracts

from engine.sim.exchange.contract_rules import LARGE, ContractRules
from engine.sim.exchange.funding import payment
from engine.sim.exchange.margin_account import MarginAccount
from engine.sim.exchange.order_values import PositionSide
from engine.sim.units import units

BTC = "symbol=BTCUSDT"
HOUR_MS = 3_600_000


def deep() -> FuturesClient:
    """A market of one level a side, 100 times 200, without a spread that matters."""
    client = FuturesClient(quiet_contracts(bids="99.9x200", asks="100x200"))
    client.listen()
    return client


def post(client: FuturesClient, path: str, query: str) -> Any:
    return answer(client, "POST", f"/fapi/v1/{path}", query)


def incomes(client: FuturesClient, kind: str) -> list[str]:
    rows = answer(client, "GET", "/fapi/v1/income", f"incomeType={kind}")
    return [short(row["income"]) for row in rows]


# ---- funding


def settle_funding(client: FuturesClient, mark: str, rate: str) -> None:
    """The mark price and rate before a funding, and the first one after it."""
    client.market_mark(mark, rate=rate, next_ms=HOUR_MS)
    client.market_mark(mark, rate="0.0001", next_ms=2 * HOUR_MS)


@pytest.mark.parametrize(
    ("order", "rate", "paid", "wallet"),
    [
        # the fee of 2 at 100 is 0.1, of 2 at 99.9 it is 0.0999; the payment is 2 x 105 x rate
        ("BUY MARKET 2", "0.0003", "-0.063", "999.837"),
        ("SELL MARKET 2", "0.0003", "0.063", "999.9631"),
        ("BUY MARKET 2", "-0.0003", "0.063", "999.963"),
        ("SELL MARKET 2", "-0.0003", "-0.063", "999.8371"),
    ],
)
def test_funding_is_paid_by_longs_while_the_rate_is_positive(order: str, rate: str, paid: str, wallet: str) -> None:
    client = deep()
    client.order(order)
    settle_funding(client, "105", rate)
    assert incomes(client, "FUNDING_FEE") == [paid]
    assert client.wallet() == wallet
    update = client.events()[-1]["a"]
    assert update["m"] == "FUNDING_FEE"
    assert update["B"] == [{"a": "USDT", "wb": wallet, "cw": wallet, "bc": paid}]
    assert update["P"] == [], "cross margin reports the wallet alone"
    [row] = client.get("fundingRate", BTC)
    assert (short(row["fundingRate"]), short(row["markPrice"])) == (rate, "105")


def test_funding_of_an_isolated_position_moves_its_own_wallet() -> None:
    """Margin 200 / 20 = 10 less the fee of 0.1; it pays 2 x 105 x 0.0003 = 0.063."""
    client = deep()
    post(client, "marginType", f"{BTC}&marginType=ISOLATED")
    client.order("BUY MARKET 2")
    settle_funding(client, "105", "0.0003")
    update = client.events()[-1]["a"]
    assert update["B"] == [{"a": "USDT", "wb": "999.837", "cw": "990", "bc": "-0.063"}]
    assert (update["P"][0]["iw"], update["P"][0]["mt"]) == ("9.837", "isolated")


def test_a_flat_account_pays_no_funding() -> None:
    client = deep()
    client.order("BUY MARKET 2")
    client.order("SELL MARKET 2")
    settle_funding(client, "105", "0.0003")
    assert incomes(client, "FUNDING_FEE") == []


def test_a_payment_is_cut_to_the_smallest_unit() -> None:
    """0.003 x 33,333.3 x 0.0001234 = 0.0123399876...: the payer pays 0.01233998, the receiver gets as much."""
    quantity, mark, rate = units("0.003"), units("33333.3"), units("0.0001234")
    assert payment(quantity, mark, rate) == -units("0.01233998")
    assert payment(-quantity, mark, rate) == units("0.01233998")


def test_the_computed_mark_price_announces_fundings_every_eight_hours() -> None:
    """2023-11-14 22:13:22 UTC: the next funding is at midnight. The rate is the interest rate while the premium is small."""
    client = deep()
    client.wait(1_500)
    shown = client.get("premiumIndex", BTC)
    assert (shown["nextFundingTime"], short(shown["lastFundingRate"])) == (1_700_006_400_000, "0.0001")


def test_funding_info_lists_other_intervals_alone() -> None:
    assert FuturesClient().get("fundingInfo") == []
    rules = {"contract": ContractRules(funding_hours=4)}
    [row] = FuturesClient(overrides={"BTCUSDT": rules}).get("fundingInfo")
    assert row["fundingIntervalHours"] == 4


def test_the_funding_rate_draws_the_premium_to_the_interest_rate() -> None:
    """F = P + clamp(I - P, 0.05 %): a premium of 0.1 % gives 0.05 %, one of 1 % is cut at the cap of 0.3 %."""
    rules = ContractRules()
    index = units("1000")
    assert rules.funding_rate(index, index) == units("0.0001")
    assert rules.funding_rate(units("1001"), index) == units("0.0005")
    assert rules.funding_rate(units("999"), index) == -units("0.0005")
    assert rules.funding_rate(units("1010"), index) == units("0.003")


def test_the_break_even_price_counts_fees_and_pnl_of_the_open_position() -> None:
    """Short 10 at 99.9 for a fee of 0.4995; buying 5 back at 100 loses 0.5 for 0.25: 99.9 - 1.2495 / 5 = 99.6501."""
    client = deep()
    client.order("SELL MARKET 10")
    assert client.position()["breakEvenPrice"] == "99.85005"
    client.order("BUY MARKET 5")
    assert client.position()["breakEvenPrice"] == "99.6501"
    client.order("BUY MARKET 10")
    assert client.position()["breakEvenPrice"] == "100.05", "5 bought at 100; of the fee of 0.5 half is theirs"


# ---- liquidation


def test_a_cross_account_is_liquidated_at_the_price_that_positionrisk_names() -> None:
    """Wallet 1000 - 5 = 995, long 100 at 100: 995 + 100 (p - 100) = 0.004 x 100 p, so p = 9005 / 99.6 = 90.4116.

    At 90.5 the balance is 45 and the maintenance margin 36.2: 80 % of it, a margin call. At 90.4 they are 35 and 36.16.
    The bankruptcy price is 90.4 - 0.35 = 90.05, at the next tick 90.1. The book takes 40 at 90.3 and 20 at 90.1, the fund
    40 at 90.1: 9018 of 10,000 come back, so 995 - 982 = 13 are left, and the fee of 1.25 % would be 112.725.
    """
    client = deep()
    client.order("BUY MARKET 100")
    client.order("SELL LIMIT 50 @ 120 as exit")
    assert client.wallet() == "995"
    assert client.position()["liquidationPrice"] == "90.41164658"
    client.market_levels(bids="99.9x0 90.3x40 90.1x20 90x100")
    client.market_mark("90.5")
    call = client.events()[-1]
    assert (call["e"], call["cw"], call["p"][0]["mm"], call["p"][0]["up"]) == ("MARGIN_CALL", "995", "36.2", "-950")
    client.market_mark("90.49")
    assert client.events()[-1] == call, "one warning is enough"
    client.market_mark("90.4")
    assert client.story()[-9:] == [
        "EXPIRED/EXPIRED er 5",
        "NEW/NEW",
        "ORDER 607 60@100",
        "CALCULATED/PARTIALLY_FILLED 40@90.3 taker pnl -388",
        "ORDER 409 40@100",
        "CALCULATED/PARTIALLY_FILLED 20@90.1 taker pnl -198",
        "ORDER 13 0@0",
        "CALCULATED/FILLED 40@90.1 taker pnl -396",
        "INSURANCE_CLEAR 0",
    ]
    forced = [event["o"] for event in client.events() if event["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert forced["c"].startswith("autoclose-")
    assert "n" not in forced, "a liquidation has no commission"
    assert client.wallet() == "0"
    assert incomes(client, "INSURANCE_CLEAR") == ["-13"]
    assert client.position() is None
    # the fee of 13, and 40 taken over at 90.1 that are worth 90.4
    assert client.venue.exchange.insurance_fund == units("1000025")
    [listed] = answer(client, "GET", "/fapi/v1/forceOrders", f"{BTC}&autoCloseType=LIQUIDATION")
    assert (listed["status"], listed["executedQty"]) == ("FILLED", "100")


def test_an_isolated_position_is_liquidated_alone() -> None:
    """Margin 1000 / 10 - fee 0.5 = 99.5: 99.5 + 10 (p - 100) = 0.004 x 10 p, so p = 900.5 / 9.96 = 90.41164658.

    At 90.3 the balance is 2.5, the maintenance margin 3.612, the bankruptcy price 90.05. Sold at 90.2, 1.5 of the margin
    are left, and go to the fund. The cross wallet keeps what it had.
    """
    client = deep()
    post(client, "leverage", f"{BTC}&leverage=10")
    post(client, "marginType", f"{BTC}&marginType=ISOLATED")
    client.order("BUY MARKET 10")
    held = client.position()
    assert (held["isolatedWallet"], held["liquidationPrice"], client.available()) == ("99.5", "90.41164658", "900")
    client.market_levels(bids="99.9x0 90.2x40")
    client.market_mark("90.3")
    assert client.story()[-3:] == [
        "ORDER 901.5 0@0",
        "CALCULATED/FILLED 10@90.2 taker pnl -98",
        "INSURANCE_CLEAR 900",
    ]
    assert client.available() == "900"


def test_a_short_is_liquidated_above_its_entry() -> None:
    """Short 100 at 99.9, wallet 1000 - 4.995: 995.005 + 9990 - 100 p = 0.4 p, so p = 10985.005 / 100.4 = 109.41240039."""
    client = deep()
    client.order("SELL MARKET 100")
    assert client.position()["liquidationPrice"] == "109.41240039"
    client.market_levels(asks="100x0 109.5x200")
    client.market_mark("109.5")
    assert client.position() is None
    bought = [event["o"] for event in client.events() if event["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert (bought["S"], bought["x"], bought["L"]) == ("BUY", "CALCULATED", "109.5")


def test_a_closed_contract_is_liquidated_all_the_same() -> None:
    client = deep()
    client.order("BUY MARKET 100")
    client.fault(action="change_rules", symbol="BTCUSDT", rules={"status": "BREAK"})
    client.market_mark("85")
    assert client.position() is None


def test_a_liquidation_is_public() -> None:
    client = deep()
    assert client.venue.connect(7, "/market/ws/btcusdt@forceOrder", client.now_ns)
    client.order("BUY MARKET 100")
    client.market_mark("90")
    [frame] = client.frames(7)
    assert (frame["e"], frame["o"]["S"], frame["o"]["z"]) == ("forceOrder", "SELL", "100")


def as_other(client: FuturesClient) -> None:
    client.key, client.secret = OTHER_KEY, OTHER_SECRET


def as_first(client: FuturesClient) -> None:
    client.key, client.secret = KEY, SECRET


def test_without_a_fund_the_other_side_is_deleveraged() -> None:
    """The book has no bid, the fund is empty, and the mark price is past the bankruptcy price 90.05: the short is closed."""
    client = deep()
    client.order("BUY MARKET 100")
    as_other(client)
    client.listen(901)
    client.order("SELL MARKET 60")
    as_first(client)
    client.venue.exchange.insurance_fund = 0
    client.market_levels(bids="99.9x0")
    client.market_mark("85")
    assert client.position() is None
    as_other(client)
    assert client.position() is None
    told = [frame["o"] for frame in client.frames(901) if frame["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert (told["c"], told["S"], told["z"]) == ("adl_autoclose", "BUY", "60")
    assert told["L"] == "90.1", "at the bankruptcy price of the account that was liquidated"
    [listed] = answer(client, "GET", "/fapi/v1/forceOrders", f"{BTC}&autoCloseType=ADL")
    assert listed["executedQty"] == "60"
    as_first(client)
    assert client.wallet() == "0", "995 - 100 x 9.9 = 5 were left, and the fee took them"
    assert client.venue.exchange.insurance_fund == units("-199"), "the last 40, taken over at 90.1 and worth 85"


# ---- brackets and leverage


def test_the_maintenance_margin_has_no_step_at_a_brackets_edge() -> None:
    """50,000 x 0.4 % = 200 = 50,000 x 0.5 % - 50, and 500,000 x 0.5 % - 50 = 2,450 = 500,000 x 1 % - 2,550."""
    rules = ContractRules()
    assert [short(f"{each.amount / 10**8:.2f}") for each in LARGE[:4]] == ["0", "50", "2550", "152550"]
    assert rules.maintenance(units("50000")) == units("200")
    assert rules.maintenance(units("50001")) == units("200.005")
    assert rules.maintenance(units("500000")) == units("2450")
    assert rules.maintenance(units("1000000")) == units("7450")


def test_leverage_bounds_the_position_and_is_reported() -> None:
    client = deep()
    assert post(client, "leverage", f"{BTC}&leverage=125") == {
        "leverage": 125, "maxNotionalValue": "50000", "symbol": "BTCUSDT",
    }  # fmt: skip
    event = client.events()[-1]
    assert (event["e"], event["ac"]) == ("ACCOUNT_CONFIG_UPDATE", {"s": "BTCUSDT", "l": 125})
    assert post(client, "leverage", f"{BTC}&leverage=126")["code"] == -4028
    # 1000 at 125 would carry 125,000, but the bracket ends at 50,000
    assert client.order("BUY LIMIT 600 @ 100")["code"] == -2027
    client.order("BUY MARKET 100")
    assert client.position()["initialMargin"] == "79.96", "at the middle of the book, 99.95: no mark price has come"
    assert post(client, "leverage", f"{BTC}&leverage=5")["code"] == -2028, "2,000 of margin are not there"


def test_open_orders_bind_the_margin_of_the_worse_direction() -> None:
    """At 20: 50 bids at 90 bind 4500 / 20 = 225; 10 asks at 110 bind 55, which is less and costs nothing more."""
    client = deep()
    client.order("BUY LIMIT 50 @ 90")
    assert client.available() == "775"
    client.order("SELL LIMIT 10 @ 110")
    assert client.available() == "775"
    client.order("SELL LIMIT 50 @ 110")
    assert client.available() == "670", "60 x 110 / 20 = 330"
    assert client.order("SELL LIMIT 140 @ 110")["code"] == -2019


# ---- margin type, margin, mode


def test_margin_moves_between_the_wallets() -> None:
    client = deep()
    assert post(client, "positionMargin", f"{BTC}&amount=10&type=1")["code"] == -4046
    post(client, "marginType", f"{BTC}&marginType=ISOLATED")
    client.order("BUY MARKET 10")
    assert post(client, "positionMargin", f"{BTC}&amount=25&type=1")["code"] == 200
    assert (client.position()["isolatedWallet"], client.story()[-1]) == ("74.5", "MARGIN_TRANSFER 999.5 10@100")
    assert post(client, "positionMargin", f"{BTC}&amount=30&type=2")["code"] == -4051, "the initial margin stays"
    assert post(client, "positionMargin", f"{BTC}&amount=24&type=2")["code"] == 200, "74.5 - 0.5 of loss - 49.975"
    moves = answer(client, "GET", "/fapi/v1/positionMargin/history", BTC)
    assert [(move["type"], move["amount"]) for move in moves] == [(1, "25"), (2, "24")]
    assert post(client, "positionMargin", f"{BTC}&amount=5000&type=1")["code"] == -4050


def test_the_margin_type_needs_a_flat_symbol() -> None:
    client = deep()
    assert post(client, "marginType", f"{BTC}&marginType=CROSSED")["code"] == -4046
    client.order("BUY LIMIT 1 @ 90 as a")
    assert post(client, "marginType", f"{BTC}&marginType=ISOLATED")["code"] == -4047
    client.cancel("a")
    client.order("BUY MARKET 1")
    assert post(client, "marginType", f"{BTC}&marginType=ISOLATED")["code"] == -4048
    [row] = answer(client, "GET", "/fapi/v1/symbolConfig", BTC)
    assert (row["marginType"], row["leverage"]) == ("CROSSED", 20)


def test_hedge_mode_holds_both_directions() -> None:
    client = deep()
    assert post(client, "positionSide/dual", "dualSidePosition=true")["code"] == 200
    assert post(client, "positionSide/dual", "dualSidePosition=true")["code"] == -4059
    assert client.order("BUY MARKET 1")["code"] == -4061, "a side must be named"
    client.order("BUY MARKET 3", positionSide="LONG")
    client.order("SELL MARKET 2", positionSide="SHORT")
    assert client.order("SELL MARKET 1", positionSide="LONG", reduceOnly="true")["code"] == -1106
    held = {side: client.position(side)["positionAmt"] for side in ("LONG", "SHORT")}
    assert held == {"LONG": "3", "SHORT": "-2"}
    assert client.order("BUY MARKET 3", positionSide="SHORT")["orderId"], "it closes 2, and the rest expires"
    assert client.story()[-1] == "EXPIRED/EXPIRED er 9"
    client.order("SELL LIMIT 3 @ 110 as exit", positionSide="LONG")
    assert post(client, "positionSide/dual", "dualSidePosition=false")["code"] == -4067
    client.cancel("exit")
    assert post(client, "positionSide/dual", "dualSidePosition=false")["code"] == -4068
    assert client.venue.exchange.margin_accounts["first"].position("BTCUSDT", PositionSide.SHORT).quantity == 0


def test_multi_assets_margin_is_not_there() -> None:
    client = deep()
    assert answer(client, "GET", "/fapi/v1/multiAssetsMargin") == {"multiAssetsMargin": False}
    assert post(client, "multiAssetsMargin", "multiAssetsMargin=true")["code"] == -1020
    assert post(client, "multiAssetsMargin", "multiAssetsMargin=false")["code"] == -4171


def test_a_transfer_by_hand_is_reported_with_its_amount() -> None:
    client = deep()
    client.sim("POST", "balances", {"asset": "USDT", "amount": "50"})
    client.sim("POST", "balances", {"asset": "USDT", "amount": "-20"})
    updates = [event["a"] for event in client.events()]
    assert [(each["m"], each["B"][0]["bc"]) for each in updates] == [("DEPOSIT", "50"), ("WITHDRAW", "-20")]
    assert client.raw("POST", "/sim/balances", body='{"asset": "USDT", "amount": "-5000"}').status == 400
    assert incomes(client, "TRANSFER") == ["50", "-20"]


def test_the_two_forms_of_the_account_agree() -> None:
    client = deep()
    client.order("BUY MARKET 10")
    new, old = (answer(client, "GET", f"/fapi/v{version}/account") for version in (3, 2))
    assert new["totalWalletBalance"] == old["totalWalletBalance"]
    assert new["positions"][0]["positionAmt"] == old["positions"][0]["positionAmt"] == "10"
    [risk] = answer(client, "GET", "/fapi/v2/positionRisk")
    assert (risk["leverage"], risk["marginType"], risk["positionAmt"]) == ("20", "cross", "10")
    config = answer(client, "GET", "/fapi/v1/accountConfig")
    assert (config["dualSidePosition"], config["canTrade"]) == (False, True)
    rates = answer(client, "GET", "/fapi/v1/commissionRate", BTC)
    assert (rates["makerCommissionRate"], rates["takerCommissionRate"]) == ("0.0002", "0.0005")
    assert answer(client, "GET", "/fapi/v1/adlQuantile")[0]["adlQuantile"] == {"BOTH": 1}
    assert answer(client, "GET", "/fapi/v1/feeBurn") == {"feeBurn": False}


# ---- the exchange's own figures


@pytest.mark.parametrize("number", ["01", "02", "03", "04", "05", "06", "08"])
def test_a_real_accounts_fills_give_the_exchanges_positions_and_wallet(number: str, shared_data: Path) -> None:
    """Real sessions of March 2022, one-way: each fill settled here has the exchange's P&L, entry price and wallets.

    Session 05 is isolated at leverage 2, and its last fill closes 0.04 and opens 0.04 the other way: the fee of the opened
    part comes out of the margin. One fill of session 03 has no fee in its event, though the wallet paid it.
    """
    file = shared_data / "private" / "binance-usdm" / f"session-{number}.rekeyed.jsonl"
    events = [json.loads(line) for line in file.read_text().splitlines()]
    account = MarginAccount("real", {"USDT": 0}, fee_maker=0, fee_taker=0)
    account.leverages["BNBUSDT"] = 2
    update: Any = {}
    knows_wallet = False
    fills = 0
    for event in events:
        if event["e"] == "ACCOUNT_UPDATE":
            update = event["a"]
            if not update["P"]:
                account.free["USDT"], knows_wallet = units(update["B"][0]["cw"]), True
        elif event["o"]["x"] == "TRADE":
            trade, [held] = event["o"], update["P"]
            fills += 1
            price, signed = units(trade["L"]), units(trade["l"]) * (1 if trade["S"] == "BUY" else -1)
            before = account.position("BNBUSDT", PositionSide.BOTH).quantity
            settled = account.settle("BNBUSDT", PositionSide.BOTH, signed, price, event["T"])
            assert settled.realised == units(trade["rp"])
            assert (settled.position.quantity, settled.position.entry_price) == (units(held["pa"]), units(held["ep"]))
            fee = units(trade.get("n", "0"))
            if held["mt"] == "isolated":
                account.isolated.add("BNBUSDT")
                account.move_isolated(settled, before, price, "USDT", fee)
                assert settled.position.isolated_wallet == units(held["iw"])
            account.book("USDT", settled.realised - fee)
            if knows_wallet and "n" in trade:
                assert abs(account.free["USDT"] - units(update["B"][0]["cw"])) <= 1
            account.free["USDT"], knows_wallet = units(update["B"][0]["cw"]), True
    assert fills >= 2
