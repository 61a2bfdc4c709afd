"""Public clients, unchanged and from PyPI, trade on the simulated venue; docs/venue*.md list their calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parent.parent / "benchmarks" / "clients" / "run.py"
NAMES = (
    "ccxt", "python-binance", "binance-connector", "ccxt-futures", "binance-sdk-futures", "coinbase-sdk",
    "hyperliquid-sdk", "alpaca-py",
)  # fmt: skip
CHOSEN = os.environ.get("VERBATIM_CLIENTS", "ccxt,ccxt-futures" if os.environ.get("CI") == "true" else "")
WANTED = NAMES if CHOSEN in ("1", "all") else CHOSEN.split(",")


def trades(name: str) -> None:
    if name not in WANTED:
        pytest.skip(f"downloads {name}: set VERBATIM_CLIENTS={name}, or all")
    ended = subprocess.run([sys.executable, RUN, name], capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{name}: passed" in ended.stdout


@pytest.mark.slow
def test_ccxt_trades_on_the_venue() -> None:
    trades("ccxt")


@pytest.mark.slow
def test_python_binance_trades_on_the_venue() -> None:
    trades("python-binance")


@pytest.mark.slow
def test_binance_connector_trades_on_the_venue() -> None:
    trades("binance-connector")


@pytest.mark.slow
def test_ccxt_trades_on_the_futures_venue() -> None:
    trades("ccxt-futures")


@pytest.mark.slow
def test_binances_sdk_trades_on_the_futures_venue() -> None:
    trades("binance-sdk-futures")


@pytest.mark.slow
def test_coinbases_sdk_trades_on_its_venue() -> None:
    trades("coinbase-sdk")


@pytest.mark.slow
def test_hyperliquids_sdk_trades_on_the_venue() -> None:
    trades("hyperliquid-sdk")


@pytest.mark.slow
def test_alpaca_py_trades_on_the_brokers_venue() -> None:
    trades("alpaca-py")
