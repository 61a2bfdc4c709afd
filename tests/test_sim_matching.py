"""Orders meet the market: fills, what they leave, what they cost."""

from sim_transcript import OTHER_KEY, OTHER_SECRET, Client, quiet, short


def fills(answer: dict) -> list[str]:
    return [f"{short(fill['qty'])}@{short(fill['price'])}" for fill in answer["fills"]]


def test_a_market_order_walks_the_book_and_pays_its_fee_in_what_it_receives() -> None:
    client = Client()
    answer = client.order("BUY MARKET 2")
    assert (answer["status"], fills(answer)) == ("FILLED", ["1@101", "1@102"])
    assert answer["cummulativeQuoteQty"] == "203.00000000"
    assert [fill["commission"] for fill in answer["fills"]] == ["0.00100000", "0.00100000"]
    assert {fill["commissionAsset"] for fill in answer["fills"]} == {"BTC"}
    assert client.balances() == {"BTC": ("3.998", "0"), "USDT": ("9797", "0")}


def test_a_sale_pays_its_fee_in_the_quote_asset() -> None:
    client = Client()
    assert client.order("SELL MARKET 1")["fills"][0]["commissionAsset"] == "USDT"
    assert client.balances() == {"BTC": ("1", "0"), "USDT": ("10098.901", "0")}


def test_taken_liquidity_stays_taken_until_its_level_changes() -> None:
    client = Client()
    assert fills(client.order("BUY MARKET 1")) == ["1@101"]
    assert fills(client.order("BUY MARKET 1")) == ["1@102"]
    client.market_levels(asks="101x1")  # the same again: no change
    assert fills(client.order("BUY MARKET 1")) == ["1@102"]
    client.market_levels(asks="101x0.5")
    assert fills(client.order("BUY MARKET 1")) == ["0.5@101", "0.5@103"]


def test_the_public_book_never_shows_what_we_took() -> None:
    client = Client()
    before = client.get("depth", "symbol=BTCUSDT")
    client.order("BUY MARKET 2")
    client.order("BUY LIMIT 1 @ 99.5")
    assert client.get("depth", "symbol=BTCUSDT") == before


def test_a_limit_order_takes_what_it_can_and_rests_with_the_rest() -> None:
    client = Client()
    answer = client.order("BUY LIMIT 2 @ 101.5 as mine")
    assert (answer["status"], fills(answer)) == ("PARTIALLY_FILLED", ["1@101"])
    assert client.balances()["USDT"] == ("9797.5", "101.5")  # 101 paid, 101.5 locked for the rest
    client.cancel("mine")
    assert client.balances() == {"BTC": ("2.999", "0"), "USDT": ("9899", "0")}


def test_a_resting_order_waits_behind_those_before_it() -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 99 as mine")  # 3 are ahead of it
    client.market_trade("99", "2", sells=True)
    client.market_trade("99", "1", sells=True)
    assert client.story() == ["NEW/NEW", "funds USDT"]
    client.market_trade("99", "0.4", sells=True)
    client.market_trade("99", "5", sells=True)
    assert client.story()[2:] == [
        "TRADE/PARTIALLY_FILLED 0.4@99 maker",
        "funds BTC USDT",
        "TRADE/FILLED 0.6@99 maker",
        "funds BTC USDT",
    ]


def test_the_queue_shrinks_with_its_level() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 99 as mine")
    client.market_levels(bids="99x0.5")
    client.market_levels(bids="99x7")  # those come behind us
    client.market_trade("99", "1", sells=True)
    assert short(client.sim("GET", "state")["orders"][0]["executed_quantity"]) == "0.5"


def test_buyers_do_not_fill_our_bid() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 100 as mine")
    client.market_trade("100", "9", sells=False)
    assert client.sim("GET", "state")["fills"] == []


def test_a_print_through_our_price_fills_us_whatever_stood_before() -> None:
    client = Client()
    client.order("SELL LIMIT 1 @ 103 as mine")
    client.market_trade("103.5", "0.7", sells=False)
    assert [short(fill["quantity"]) for fill in client.sim("GET", "state")["fills"]] == ["0.7"]


def test_an_offer_that_comes_to_our_price_is_ours() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 100 as mine")
    client.market_levels(asks="99.9x0.3")
    [fill] = client.sim("GET", "state")["fills"]
    assert (short(fill["price"]), short(fill["quantity"]), fill["maker"]) == ("100", "0.3", True)


def test_immediate_or_cancel_leaves_nothing_behind() -> None:
    client = Client()
    client.listen()
    answer = client.order("BUY LIMIT 3 @ 101 IOC")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "1.00000000")
    assert client.story() == [
        "NEW/NEW",
        "TRADE/PARTIALLY_FILLED 1@101 taker",
        "EXPIRED/EXPIRED UNFILLED_IOC_QUANTITY_EXPIRED",
        "funds BTC USDT",
    ]
    assert client.balances()["USDT"] == ("9899", "0")


def test_fill_or_kill_is_all_or_nothing() -> None:
    client = Client()
    client.listen()
    answer = client.order("BUY LIMIT 3.5 @ 102 FOK")
    assert (answer["status"], answer["fills"]) == ("EXPIRED", [])
    assert client.story()[:2] == ["NEW/NEW", "EXPIRED/EXPIRED UNFILLED_FOK_ORDER_EXPIRED"]
    assert client.order("BUY LIMIT 3 @ 102 FOK")["status"] == "FILLED"


def test_post_only_rests_or_is_refused() -> None:
    client = Client()
    assert client.order("BUY LIMIT_MAKER 1 @ 101") == {
        "code": -2010,
        "msg": "Order would immediately match and take.",
    }
    assert client.order("BUY LIMIT_MAKER 1 @ 100", newOrderRespType="RESULT")["status"] == "NEW"


def test_a_market_that_runs_dry_expires_the_rest() -> None:
    client = Client(quiet(bids="99x1", asks="101x0.5"))
    answer = client.order("BUY MARKET 1")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.50000000")
    assert answer["expiryReason"] == "INSUFFICIENT_LIQUIDITY"


def test_a_market_order_by_quote_quantity_buys_whole_lots() -> None:
    client = Client()
    answer = client.order("BUY MARKET 0", quantity=None, quoteOrderQty="200")
    assert (answer["status"], fills(answer)) == ("FILLED", ["1@101", "0.97058@102"])
    assert answer["origQty"] == "1.97058000"
    assert client.balances()["USDT"] == ("9800.00084", "0")


def test_funds_are_locked_and_cannot_be_spent_twice() -> None:
    client = Client()
    client.order("BUY LIMIT 100 @ 99 as mine")
    assert client.balances()["USDT"] == ("100", "9900")
    poor = {"code": -2010, "msg": "Account has insufficient balance for requested action."}
    assert client.order("BUY LIMIT 2 @ 99") == poor
    assert client.order("SELL MARKET 2.5") == poor
    client.cancel("mine")
    assert client.order("BUY LIMIT 2 @ 99")["status"] == "NEW"


def test_two_accounts_trade_with_each_other() -> None:
    client = Client()
    client.order("BUY LIMIT 1 @ 100 as mine")
    client.key, client.secret = OTHER_KEY, OTHER_SECRET
    assert fills(client.order("SELL LIMIT 1 @ 100")) == ["1@100"]
    buy, sell = client.sim("GET", "state")["fills"]
    assert buy["trade_id"] == sell["trade_id"]
    assert (buy["account"], buy["maker"], sell["account"], sell["maker"]) == ("first", True, "other", False)


def test_an_order_does_not_trade_with_its_own_account() -> None:
    client = Client()
    client.listen()
    client.order("BUY LIMIT 1 @ 100 as old")
    assert client.order("SELL LIMIT 1 @ 100 as new")["status"] == "NEW"
    assert "TRADE_PREVENTION/EXPIRED_IN_MATCH" in client.story()
    assert client.sim("GET", "state")["fills"] == []


def test_the_same_calls_give_the_same_bytes() -> None:
    def session() -> list[bytes]:
        client = Client()
        client.listen()
        client.order("BUY LIMIT 2 @ 101.5 as mine")
        client.market_trade("101.2", "5", sells=True)
        client.cancel("mine")
        return [item.frame or item.answer.body for item in client.log]

    assert session() == session()
