"""Public clients trade on the simulated venue: each in its own virtual environment, made by uv or pip.

    python benchmarks/clients/run.py [--install | --write] [NAME ...]

The environments stay in a cache folder (VERBATIM_CLIENTS_CACHE, else ~/.cache/verbatim-clients), so only the first run
downloads. Prints one line a client and compares its calls with the table in docs/venue.md; exit code 1 if one of them
failed or differs. `--write` writes the tables, `--install` makes the environments alone.
"""

import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SDK = "binance-sdk-derivatives-trading-usds-futures==18.1.0"
CLIENT_SECONDS_MAX = 120


class Played(NamedTuple):
    """A kind of the simulated venue: the page with its tables, and the account of a client."""

    kind: str
    page: Path
    key: tuple[str, str] = ("clients-key", "clients-secret")
    balances: dict[str, str] | None = None  # None: the demo's account, with its instruments
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")


class Client(NamedTuple):
    """A public client: its package, and the program that trades with it."""

    requirement: str
    program: str
    venue: Played


DOCS = ROOT / "docs"
SPOT = Played("", DOCS / "venue.md", balances={"USDT": "100000", "BTC": "2"})
USDM = Played("binance_usdm", DOCS / "venue-usdm.md", balances={"USDT": "100000"})
COINBASE = Played(
    "coinbase",
    DOCS / "venue-coinbase.md",
    ("organizations/clients/apiKeys/clients", "dmVyYmF0aW0tY2xpZW50cy1rZXktb3Blbi10by1hbGw="),
    {"USD": "100000", "BTC": "2", "ETH": "30"},
    ("BTC-USD", "ETH-USD"),
)
HYPERLIQUID = Played(
    "hyperliquid",
    DOCS / "venue-hyperliquid.md",
    ("0x1234567890abcdef1234567890abcdef12345678", "0x" + "0123456789" * 6 + "0123"),
)
ALPACA = Played("alpaca", DOCS / "venue-alpaca.md", ("verbatim-demo-key", "verbatim-demo-secret"))
KRAKEN = Played(
    "kraken",
    DOCS / "venue-kraken.md",
    ("clients-key", "Y2xpZW50cy1zZWNyZXQtdGhhdC1pcy1uby1zZWNyZXQ="),
    {"USD": "100000", "BTC": "2"},
    ("BTC/USD",),
)
CLIENTS = {
    "ccxt": Client("ccxt==4.5.90", "ccxt_client.py", SPOT),
    "ccxt-futures": Client("ccxt==4.5.90", "ccxt_futures_client.py", USDM),
    "binance-sdk-futures": Client(SDK, "binance_sdk_futures_client.py", USDM),
    "python-binance": Client("python-binance==1.0.37", "python_binance_client.py", SPOT),
    "binance-connector": Client("binance-connector==3.13.0", "binance_connector_client.py", SPOT),
    "coinbase-sdk": Client("coinbase-advanced-py==1.8.4", "coinbase_sdk_client.py", COINBASE),
    "kraken-sdk": Client("python-kraken-sdk==3.1.3", "kraken_sdk_client.py", KRAKEN),
    "hyperliquid-sdk": Client("hyperliquid-python-sdk==0.24.0", "hyperliquid_sdk_client.py", HYPERLIQUID),
    "alpaca-py": Client("alpaca-py==0.44.0", "alpaca_py_client.py", ALPACA),
}  # python-binance and binance-connector install the same package name: they cannot share an environment
MARK = "CALLS "  # as in reporting.py


def environment(requirement: str) -> Path:
    """The Python of a client's environment, made where it is not there yet."""
    cache = Path(os.environ.get("VERBATIM_CLIENTS_CACHE", Path.home() / ".cache" / "verbatim-clients"))
    folder = cache / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        uv = Path(sys.executable).with_name("uv")  # where it is installed: it takes a tenth of pip's time
        venv.create(folder, with_pip=not uv.exists(), clear=True)
        install = [uv, "pip", "install", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
        subprocess.run([*install, "--quiet", requirement], check=True)
        done.touch()
    return python


def start_venue(venue: Played) -> tuple[subprocess.Popen[bytes], str]:
    options: dict[str, Any] = {"kind": venue.kind} if venue.kind else {}
    if venue.balances is not None:
        key, secret = venue.key
        options["accounts"] = [{"api_key": key, "secret": secret, "balances": venue.balances, "name": "clients"}]
        options["symbols"] = venue.symbols
    command = [sys.executable, "-m", "engine.live.venue_main", json.dumps(options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())["listening"]


def run(name: str) -> tuple[bool, str]:
    """Run a client. Return True if it made all its calls, and its output."""
    client = CLIENTS[name]
    python = environment(client.requirement)
    venue, address = start_venue(client.venue)
    try:
        ended = subprocess.run(
            [python, "-P", HERE / client.program, address, *client.venue.key],
            capture_output=True,
            text=True,
            check=False,
            timeout=CLIENT_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired as late:
        return False, f"not done after {CLIENT_SECONDS_MAX} s: {late.stdout!r}"
    finally:
        venue.terminate()
        venue.wait(10)
        assert venue.stdout is not None
        venue.stdout.close()
    return ended.returncode == 0, (ended.stdout if ended.returncode == 0 else ended.stdout + ended.stderr).strip()


def table(output: str) -> str:
    """Return the rows of a client's output as the table of docs/venue.md, equal calls once."""
    [line] = [line for line in output.splitlines() if line.startswith(MARK)]
    rows = dict.fromkeys(f"| `{name}` | {told} |" for name, told in json.loads(line.removeprefix(MARK)))
    return "\n".join(["| call | venue |", "|---|---|", *rows])


def page_parts(name: str) -> tuple[str, str, str]:
    """Return the page of a client's venue before, in and after its table."""
    page = CLIENTS[name].venue.page
    before, found, rest = page.read_text().partition(f"<!-- calls of {name} -->\n")
    inside, ended, after = rest.partition(f"\n<!-- end of {name} -->")
    assert found, f"{page} has no table of {name}"
    assert ended, f"the table of {name} in {page} has no end"
    return before + found, inside, ended + after


def compare(name: str, output: str, *, write: bool) -> str:
    """Return "" if the page shows a client's calls, or a text for people. Writes the table first if `write`."""
    before, inside, after = page_parts(name)
    current = table(output)
    if write:
        CLIENTS[name].venue.page.write_text(before + current + after)
    elif inside != current:
        different = sorted(set(inside.splitlines()) ^ set(current.splitlines()))
        return (
            f"{CLIENTS[name].venue.page.name} differs; run benchmarks/clients/run.py --write {name}: {different[:10]}"
        )
    return ""


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if not name.startswith("--")] or list(CLIENTS)
    if "--install" in arguments:
        for name in names:
            environment(CLIENTS[name].requirement)
        return 0
    failed = 0
    for name in names:
        began = time.monotonic()
        passed, output = run(name)
        different = compare(name, output, write="--write" in arguments) if passed else ""
        failed += not passed or bool(different)
        shown = [line for line in output.splitlines() if not line.startswith(MARK)]
        verdict = "FAILED" if not passed else "DIFFERS" if different else "passed"
        print(f"{name}: {verdict} in {time.monotonic() - began:.1f} s", *shown, *filter(None, [different]), sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
