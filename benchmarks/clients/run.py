"""Public clients trade on the simulated venue: each in its own virtual environment, made by pip.

    python benchmarks/clients/run.py [ccxt] [python-binance] [binance-connector]

The environments stay in a cache folder (VERBATIM_CLIENTS_CACHE, else ~/.cache/verbatim-clients), so only the first run
downloads. Prints one line a client; exit code 1 if one of them failed.
"""

import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIENTS = {
    "ccxt": ("ccxt==4.5.90", "ccxt_client.py"),
    "python-binance": ("python-binance==1.0.37", "python_binance_client.py"),
    "binance-connector": ("binance-connector==3.13.0", "binance_connector_client.py"),
}  # the last two install the same package name: they cannot share an environment
KEY, SECRET = "clients-key", "clients-secret"
CLIENT_SECONDS_MAX = 120


def environment(requirement: str) -> Path:
    """The Python of a client's environment, made where it is not there yet."""
    cache = Path(os.environ.get("VERBATIM_CLIENTS_CACHE", Path.home() / ".cache" / "verbatim-clients"))
    folder = cache / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
        done.touch()
    return python


def start_venue() -> tuple[subprocess.Popen[bytes], str]:
    account = {"api_key": KEY, "secret": SECRET, "balances": {"USDT": "100000", "BTC": "2"}, "name": "clients"}
    options = json.dumps({"accounts": [account], "symbols": ["BTCUSDT", "ETHUSDT"]})
    command = [sys.executable, "-m", "engine.live.venue_main", options]
    venue = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert venue.stdout is not None
    return venue, json.loads(venue.stdout.readline())["listening"]


def run(name: str) -> tuple[bool, str]:
    """Run a client. Return True if it did everything, and its output."""
    requirement, script = CLIENTS[name]
    python = environment(requirement)
    venue, address = start_venue()
    try:
        ended = subprocess.run(
            [python, "-P", HERE / script, address, KEY, SECRET],
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


def main(names: list[str]) -> int:
    failed = 0
    for name in names or list(CLIENTS):
        began = time.monotonic()
        passed, told = run(name)
        failed += not passed
        print(f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s\n  {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
