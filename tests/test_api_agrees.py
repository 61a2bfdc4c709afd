"""The same questions to the commands, to Python and to SQL agree, on a backtest over the capture of Bitcoin."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import verbatim
from verbatim.cli import main

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def answer(*words: object, code: int = 0) -> Any:
    """Return the JSON that a command prints."""
    ended = CliRunner().invoke(main, [*map(str, words), "--json"])
    assert ended.exit_code == code, ended.output
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def bitcoin(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> verbatim.Session:
    """Return a backtest of the quoter over the whole capture."""
    root = tmp_path_factory.mktemp("bitcoin")
    capture = shared_data / "captures/binance/spot_btcusdt_20240808.gz"
    done = CliRunner().invoke(main, ["import", str(capture), "--into", str(root / "btc")])
    assert done.exit_code == 0, done.output
    money = {"USDT": 1_000_000, "BTC": 100}
    return verbatim.backtest(root / "btc", EXAMPLES / "quoter.py", balances=money, into=root / "run")


@pytest.mark.slow
def test_orders_and_fills_by_three_ways(bitcoin: verbatim.Session) -> None:
    columns = "seq, client_order_id, side, price, quantity, fee, fee_asset, maker"
    from_cli = answer("sql", bitcoin.folder, f"SELECT {columns} FROM fills ORDER BY seq")
    from_api = bitcoin.fills.select(columns).rows()
    in_sql = bitcoin.sql("SELECT count(*) AS fills, sum(quantity) AS quantity, sum(fee) AS fee FROM fills").rows()
    assert len(from_api) > 50
    assert [{**row, "price": Decimal(row["price"]), "quantity": Decimal(row["quantity"]), "fee": Decimal(row["fee"])}
            for row in from_cli] == from_api  # fmt: skip
    assert in_sql == [
        {
            "fills": len(from_api),
            "quantity": sum(row["quantity"] for row in from_api),
            "fee": sum(row["fee"] for row in from_api),
        }
    ]
    listed, row = answer("sessions", bitcoin.folder), bitcoin.summary().row
    del listed["time"], listed["session"]  # the command names the folder as it was typed
    assert listed == {name: value for name, value in row.as_json().items() if name != "session"}
    assert (row.orders, row.fills) == (len(bitcoin.orders), len(from_api))
    by_state = {order["client_order_id"]: order for order in bitcoin.state().orders}
    for order in bitcoin.orders:
        if order["client_order_id"] in by_state:  # closed orders leave the state in time
            stated = by_state[order["client_order_id"]]
            assert (stated["status"], Decimal(stated["filled_quantity"])) == (order["status"], order["filled_quantity"])
    assert by_state


@pytest.mark.slow
def test_state_and_causes_by_two_ways(bitcoin: verbatim.Session) -> None:
    fill = bitcoin.fills.rows()[20]
    assert answer("ask", bitcoin.folder, "--at", fill["seq"]) == bitcoin.state(at=fill["seq"]).as_json()
    time = fill["time"].isoformat() + "Z"
    assert answer("ask", bitcoin.folder, "--at", time) == bitcoin.state(at=time).as_json()
    story = bitcoin.why(fill["client_order_id"])
    assert answer("why", bitcoin.folder, fill["client_order_id"]) == story.as_json()
    printed = CliRunner().invoke(main, ["why", str(bitcoin.folder), fill["client_order_id"]])
    assert printed.output == f"{story}\n"
    [decided] = [link.record for link in story.chain if link.record.kind == "INTENT"]
    [intent] = bitcoin.intents.where("seq = ?", decided.seq).rows()
    assert intent["quote_seq"] in [link.record.seq for link in story.chain]


@pytest.mark.slow
def test_profit_and_position_by_three_ways(bitcoin: verbatim.Session) -> None:
    report = bitcoin.pnl_report()
    told = answer("pnl", bitcoin.folder)
    assert {name: Decimal(told["portfolio"][name]) for name in ("realised", "unrealised", "fees", "total")} == {
        name: getattr(report.portfolio, name) for name in ("realised", "unrealised", "fees", "total")
    }
    [last] = bitcoin.pnl.where("is_last").rows()
    [line] = report.lines
    assert (last["mark"], last["seq"]) == (line.mark, report.marked_seq)
    [position] = bitcoin.positions.where("is_last").rows()
    [stated] = bitcoin.state().positions
    assert position["quantity"] == Decimal(stated["quantity"]) == line.quantity
    performance = bitcoin.summary().performance
    assert performance is not None
    assert performance.fills == len(bitcoin.fills)
    assert abs(performance.pnl - report.portfolio.total) < Decimal("0.000001")


@pytest.mark.slow
def test_replay_and_market_by_two_ways(bitcoin: verbatim.Session) -> None:
    assert bitcoin.replay().identical
    source = verbatim.open(bitcoin.folder.parent / "btc")
    assert len(source.quotes()) == len(bitcoin.quotes()) > 20_000
    assert len(source.trades()) == len(bitcoin.trades()) > 9_000
    [total] = bitcoin.sql("SELECT count(*) AS trades, sum(quantity) AS volume FROM trades").rows()
    bars = bitcoin.bars(60).rows()
    assert sum(bar["trades"] for bar in bars) == total["trades"]
    assert sum(bar["volume"] for bar in bars) == total["volume"]
    compared = bitcoin.diff(bitcoin)
    assert compared.same
    assert answer("diff", bitcoin.folder, bitcoin.folder) == compared.as_json()
