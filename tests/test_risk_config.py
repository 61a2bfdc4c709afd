"""`[risk]` with its tables becomes the limits of the SESSION record; a wrong table is refused in a sentence."""

from decimal import Decimal
from pathlib import Path

import pytest

from engine.live.calendars import resolved
from engine.risk_settings import LossAction, PriceReference, SelfTradeChoice, Sharing
from engine.session_record import SECOND_NS, RiskSettings
from verbatim import start_report
from verbatim.config import ConfigError, make_config, read_config, read_values, session_config

ROOT = Path(__file__).resolve().parent.parent
TABLES = """
[risk]
daily_loss_max = "50"
drawdown_max = "60"
on_loss = "halt"
day = { zone = "America/New_York", hour = 17 }
price_band_max = "0.05"
price_band_to = "last"
sharing = "net"
cooldown = { after_loss_s = 60, after_stop_s = "0.5", refusals_max = 5 }
hours = { zone = "Europe/Berlin", open = ["mon-fri 09:00-17:30"] }

[risk.instrument.BTCUSDT]
position_max = "0.5"
price_band_max = "0.1"
hours = { open = ["mon-sun 00:00-24:00"] }

[risk.strategy.quoter]
order_notional_max = "500"
net_base_max = "0.2"
daily_loss_max = "20"

[risk.account]
gross_max = "50000"
open_orders_max = 40

[risk.portfolio]
net_max = "20000"
drawdown_max = "100"
"""


def limits(tmp_path: Path, text: str) -> RiskSettings:
    """Return the limits of examples/live.toml with another [risk]."""
    base = (ROOT / "examples/live.toml").read_text(encoding="utf-8").partition("[risk]")[0]
    path = tmp_path / "session.toml"
    path.write_text(base + text)
    return session_config(read_config(path), key=None, base=ROOT / "examples").risk


def test_the_tables_become_the_limits_of_the_session(tmp_path: Path) -> None:
    risk = limits(tmp_path, TABLES)
    assert (risk.figures, risk.on_loss, risk.sharing) == (True, LossAction.HALT, Sharing.NET)
    assert (risk.self_trade, risk.price_band_to) == (SelfTradeChoice.REFUSE, PriceReference.LAST)
    assert (risk.daily_loss_max, risk.drawdown_max) == (50, 60)
    btc, quoter = risk.instrument["BTCUSDT"], risk.strategy["quoter"]
    assert (btc.position_max, btc.price_band_max) == (Decimal("0.5"), Decimal("0.1"))
    assert (quoter.order_notional_max, quoter.net_base_max, quoter.daily_loss_max) == (500, Decimal("0.2"), 20)
    assert (risk.account.gross_max, risk.account.open_orders_max) == (50_000, 40)
    assert (risk.portfolio.net_max, risk.portfolio.drawdown_max) == (20_000, 100)
    assert (risk.cooldown.after_loss_ns, risk.cooldown.after_stop_ns) == (60 * SECOND_NS, SECOND_NS // 2)
    assert risk.day.offsets == risk.hours.windows == ()
    started = resolved(risk, 1_723_042_800 * SECOND_NS)
    assert started.day.offsets[0] == (1_723_042_800, -4 * 3600)
    assert len(started.hours.windows) > 250
    assert len(started.instrument["BTCUSDT"].hours.windows) > 365


def test_the_start_names_the_tables_that_limit(tmp_path: Path) -> None:
    text = start_report.limits(limits(tmp_path, TABLES))
    assert "drawdown_max 60, instrument BTCUSDT, strategy quoter, account, portfolio; not set: order_size_max" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[risk]\nleverage_max = "3"\n', "risk.leverage_max: not at this venue: binance_spot has no leverage"),
        ('[risk]\nmargin_mode = "isolated"\n', "risk.margin_mode: not at this venue: binance_spot has no leverage"),
        (
            "[risk.strategy.other]\nopen_orders_max = 1\n",
            "risk.strategy.other: the session has no strategy other; it has",
        ),
        ("[risk.instrument.ETHUSDT]\nopen_orders_max = 1\n", "risk.instrument.ETHUSDT: the session has no instrument"),
        ('[risk]\nreporting_currency = "USDT"\n', "risk.reporting_currency: unknown name"),
        ('[risk]\nday = { zone = "Mars/Base" }\n', "no time zone 'Mars/Base' is known"),
        ("[risk]\nday = { hour = 24 }\n", "risk.day.hour"),
        ('[risk]\nhours = { open = ["mon 9-17"] }\n', "hours 'mon 9-17' cannot be read"),
        ('[risk]\nhours = { open = ["mon 09:00-17:00"], calendar = "XNYS" }\n', "name a calendar or open hours"),
        ('[risk.portfolio]\nposition_max = "1"\n', "risk.portfolio.position_max: unknown name"),
        ('[risk.instrument.BTCUSDT]\nnet_max = "-1"\n', "risk.instrument.BTCUSDT.net_max"),
    ],
)
def test_a_wrong_table_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        limits(tmp_path, text)
    assert said in str(error.value)


def test_the_example_for_real_money_is_sensible() -> None:
    config = make_config(read_values(ROOT / "examples/live.toml"), "live.toml", {})
    risk = config.risk.settings()
    assert (risk.price_band_max, risk.self_trade, risk.sharing) == (
        Decimal("0.05"),
        SelfTradeChoice.REFUSE,
        Sharing.ALLOW,
    )
    assert risk.drawdown_max >= risk.daily_loss_max > 0 or risk.drawdown_max == 0
