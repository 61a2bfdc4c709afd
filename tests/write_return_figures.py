"""Write tests/vectors/return_figures.json: ratios of fixed returns by empyrical-reloaded and quantstats.

    pip install empyrical-reloaded quantstats
    python tests/write_return_figures.py

The extra `test` has neither: together they bring 45 packages and 500 MB (matplotlib, seaborn, yfinance, scipy), and
importing both takes 3 s. tests/test_return_figures.py compares with the file, and with the libraries where they are installed.
"""

import json
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent / "vectors" / "return_figures.json"
YEAR = 365


def series() -> dict[str, tuple[list[float], list[float]]]:
    """Return returns with those of a benchmark, by name."""
    found = {}
    for name, mean, spread, count in (
        ("rising", 0.0008, 0.01, 500),
        ("falling", -0.001, 0.02, 365),
        ("month", 0.0005, 0.004, 31),
    ):
        draws = random.Random(name)
        own = [draws.gauss(mean, spread) if draws.random() > 0.2 else 0.0 for _ in range(count)]
        held = [draws.gauss(0.0002, 0.012) + 0.4 * value for value in own]
        found[name] = own, held
    return found


def by_empyrical(own: Any, held: Any) -> dict[str, float]:
    import empyrical

    return {
        "total_return": empyrical.cum_returns_final(own),
        "drawdown_ratio": -empyrical.max_drawdown(own),
        "annual_return": empyrical.annual_return(own, annualization=YEAR),
        "volatility": empyrical.annual_volatility(own, annualization=YEAR),
        "sharpe": empyrical.sharpe_ratio(own, annualization=YEAR),
        "sortino": empyrical.sortino_ratio(own, annualization=YEAR),
        "calmar": empyrical.calmar_ratio(own, annualization=YEAR),
        "beta": empyrical.beta(own, held),
        "alpha": empyrical.alpha(own, held, annualization=YEAR),
    }


def by_quantstats(own: Any, held: Any) -> dict[str, float]:
    from quantstats import stats

    return {
        "total_return": stats.comp(own),
        "drawdown_ratio": -stats.max_drawdown(own),
        "annual_return": stats.cagr(own, periods=YEAR),
        "volatility": stats.volatility(own, periods=YEAR),
        "sharpe": stats.sharpe(own, periods=YEAR),
        "sortino": stats.sortino(own, periods=YEAR),
        "calmar": stats.calmar(own, periods=YEAR),
        "beta": stats.greeks(own, held, periods=YEAR)["beta"],
    }


def figures(own: list[float], held: list[float]) -> dict[str, dict[str, float]]:
    """Return the figures of both libraries."""
    import pandas as pd

    days = pd.date_range("2025-01-01", periods=len(own))
    both = pd.Series(own, index=days), pd.Series(held, index=days)
    return {
        name: {figure: float(value) for figure, value in by(*both).items()}
        for name, by in (("empyrical", by_empyrical), ("quantstats", by_quantstats))
    }


def main() -> None:
    made = {name: figures(own, held) for name, (own, held) in series().items()}
    versions = {name: version(name) for name in ("empyrical-reloaded", "quantstats")}
    TARGET.write_text(json.dumps({"versions": versions, "figures": made}, indent=1) + "\n")
    print(f"{TARGET}: {versions}")


if __name__ == "__main__":
    main()
