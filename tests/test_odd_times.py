"""Times of imports: one that does not exist is damage that names its line, and one that goes back costs no trade."""

import json
from pathlib import Path
from typing import Any

import databento_dbn as dbn
import pytest
from bar_files import verbatim
from click.testing import CliRunner
from test_dbn import sold
from test_dbn import write as write_dbn

from verbatim.cli import main

METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("raw.txt", ['2026-01-01T00:00:01Z {"a":1}', '2026-13-01T00:00:02Z {"a":1}'], "line 2: begins with a time"),
        ("raw.txt", ['2026-01-01T25:61:00Z {"a":1}'], "line 1: begins with a time that does not exist"),
        ("x.csv", [METRICS, "2026-13-01 00:00:00,BTCUSDT,1,1,1,1,1,1"], "line 2: its create_date does not exist"),
        ("20240102_spy_minute_trade.csv", ["inf,1,2,1,2,3"], "line 1: does not begin with the time of a bar"),
    ],
)
def test_a_time_that_does_not_exist_is_damage_of_its_line(
    tmp_path: Path, name: str, lines: list[str], said: str
) -> None:
    (tmp_path / name).write_text("\n".join([*lines, ""]))
    ended = CliRunner().invoke(main, ["import", str(tmp_path / name), "--into", str(tmp_path / "s")])
    assert (ended.exit_code, said in ended.stderr) == (3, True), ended.output


def traded(trade_id: int, second: int) -> str:
    data = {"e": "trade", "s": "BTCUSDT", "t": trade_id, "p": "100.00", "q": "1.0", "T": 1_704_067_200_000, "m": True}
    text = json.dumps({"stream": "btcusdt@trade", "data": data | {"E": data["T"], "M": True}}, separators=(",", ":"))
    return f"2024-01-01T00:00:{second:02}Z {text}"


@pytest.mark.parametrize("form", ["tardis-raw", "dbn"])
def test_a_time_that_goes_back_costs_no_trade_and_is_counted(tmp_path: Path, form: str) -> None:
    if form == "dbn":
        records = [dbn.TradeMsg(**sold(second, "4800.25", 2)) for second in (2, 1, 3)]
        schema: Any = dbn.Schema.TRADES
        file = write_dbn(tmp_path / "t.dbn", schema, records)
    else:
        file = tmp_path / "t.txt"
        file.write_text("".join(f"{traded(*each)}\n" for each in ((1, 2), (2, 1), (3, 3))))
    ended = CliRunner().invoke(main, ["import", str(file), "--into", str(tmp_path / "session"), "--json"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["earlier_rows"] == 1
    assert "rows with an earlier time than one before: 1, recorded at the later time" in ended.stderr
    query = (
        "SELECT (time_ns - min(time_ns) OVER ()) // 1000000000 AS t, recv_ns < time_ns AS fell FROM trades ORDER BY seq"
    )
    rows = json.loads(verbatim("sql", tmp_path / "session", query, "--json"))
    assert [(int(row["t"]), row["fell"]) for row in rows] == [(0, False), (0, True), (1, False)]
