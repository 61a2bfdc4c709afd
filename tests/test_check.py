"""`verbatim check` against the simulated venue as a process: each fault has its line, and only a good setup exits 0."""

import json
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_cli_live import ROOT, Ended, environment, state_of, until, verbatim
from warm_processes import CALM_EVENT_MS, VENUE, VERBATIM, WarmProcess

from engine.session_record import read_session
from journal.errors import NotAJournalError
from journal.reader import Journal
from journal.record import Kind
from journal.sessions import list_sessions
from journal.verify import verify
from replay.replay import replay_session

Ready = dict[str, Any]
KEYS = {  # name of the key -> its rights
    "good": {"trades": True},
    "reads": {"trades": False},
    "withdraws": {"trades": True, "withdraws": True},
    "anywhere": {"trades": True, "is_ip_bound": False},
}
LIMITS = """
[risk]
order_size_max = "0.01"
order_notional_max = "1000"
position_max = "0.05"
daily_loss_max = "100"
"""


@contextmanager
def venue() -> Iterator[Ready]:
    """Run the simulated venue with keys of different rights, all of one account."""
    accounts = [
        {
            "api_key": f"key-{name}",
            "secret": "secret",
            "balances": {"USDT": "100000", "BTC": "2"},
            "name": "mine",
            "rights": rights,
        }
        for name, rights in KEYS.items()
    ]
    options = json.dumps({"symbols": ["BTCUSDT"], "accounts": accounts, "event_ms": CALM_EVENT_MS})
    with WarmProcess([*VENUE, options], stdout=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def ready() -> Iterator[Ready]:
    with venue() as found:
        yield found


def write(
    folder: Path, ready: Ready, *, strategy: bool = True, limits: str = LIMITS, path: str = "", **changes: str
) -> Path:
    address = ready["listening"].removeprefix("http://")
    given = {
        "network": "live", "rest": f"http://{address}{path}", "stream": f"ws://{address}", "private": f"ws://{address}",
    } | changes  # fmt: skip
    text = 'instruments = ["BTCUSDT"]\n[session]\njournals = "%s"\ncarry = false\n[venue]\n' % (folder / "journals")
    text += "\n".join(f"{name} = {value if value[:1] == '[' else json.dumps(value)}" for name, value in given.items())
    if strategy:
        text += f'\n[strategy.quoter]\nfile = "{ROOT}/examples/quoter.py:Quoter"\nparameters = {{ value = "60" }}\n'
    file = folder / "session.toml"
    file.write_text(text + limits, encoding="utf-8")
    return file


def check(config: Path, key: str = "good", secret: str = "secret") -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and status and text of each check."""
    keys = {"VERBATIM_API_KEY": f"key-{key}", "VERBATIM_API_SECRET": secret}
    ended: Ended = verbatim("check", config, "--json", **keys)
    assert ended.stderr == "", ended.stderr
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended.returncode, {line["name"]: (line["status"], f"{line['text']} | {line['advice']}") for line in lines}


def failures(found: dict[str, tuple[str, str]]) -> list[str]:
    return [name for name, (status, _) in found.items() if status == "FAIL"]


def sent_orders(ready: Ready) -> list[Any]:
    return state_of(ready)["orders"]


def test_a_good_setup_passes_every_check_and_sends_no_order(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready))
    assert code == 0, found
    assert "network live: REAL MONEY" in found["session"][1]
    assert found["key"][1].startswith("accepted; the account holds BTC 2, USDT 100000")
    assert found["key rights"][1].startswith("reads, trades |")
    assert "BTCUSDT trade; 6000 request weight a minute" in found["instruments"][1]
    assert {"venue", "clock", "filters", "market stream", "account stream", "open orders", "limits", "journals"} < {
        *found
    }
    assert sent_orders(ready) == []
    assert list_sessions(tmp_path / "journals") == []


@pytest.mark.parametrize(
    ("key", "secret", "said"),
    [
        ("unknown", "secret", "the venue refuses the key: HTTP 401, -2015 Invalid API-key, IP, or permissions for action."),
        ("good", "wrong", "the venue refuses the key: HTTP 400, -1022 Signature for this request is not valid."),
    ],
)  # fmt: skip
def test_a_wrong_key_or_secret_fails(tmp_path: Path, ready: Ready, key: str, secret: str, said: str) -> None:
    code, found = check(write(tmp_path, ready), key, secret)
    assert (code, failures(found)) == (1, ["key"])
    assert said in found["key"][1]
    assert "check VERBATIM_API_KEY" in found["key"][1]
    assert found["account stream"][0] == "SKIP"


@pytest.mark.slow
def test_a_key_that_may_not_trade_fails_unless_the_account_is_only_watched(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready), "reads")
    assert (code, failures(found)) == (1, ["key rights"])
    assert "the key may not trade" in found["key rights"][1]
    code, found = check(write(tmp_path, ready, strategy=False, limits=""), "reads")
    assert code == 0, found
    assert "is watched" in found["session"][1]


@pytest.mark.slow
def test_a_key_that_may_withdraw_fails_unless_the_configuration_allows_it(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready), "withdraws")
    assert (code, failures(found)) == (1, ["key rights"])
    assert "the key may withdraw, which trading never needs" in found["key rights"][1]
    code, found = check(write(tmp_path, ready, allow_key_rights='["withdrawals"]'), "withdraws")
    assert code == 0, found


@pytest.mark.slow
def test_a_key_for_any_address_passes_with_advice(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready), "anywhere")
    assert code == 0
    assert "any address may use it" in found["key rights"][1]


@pytest.mark.slow
def test_an_unknown_symbol_fails(tmp_path: Path, ready: Ready) -> None:
    config = write(tmp_path, ready, strategy=False)
    config.write_text(config.read_text().replace('["BTCUSDT"]', '["BTCUSDT", "NOSUCH"]'))
    code, found = check(config)
    assert (code, failures(found)) == (1, ["instruments"])
    assert "lists no" in found["instruments"][1]
    assert "NOSUCH" in found["instruments"][1]


@pytest.mark.slow
def test_a_wrong_address_and_a_wrong_path_fail_with_the_address_and_the_status(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready, rest="http://127.0.0.1:9"))
    assert (code, failures(found)) == (1, ["venue"])
    assert "no answer from http://127.0.0.1:9/api/v3/time" in found["venue"][1]
    code, found = check(write(tmp_path, ready, path="/nowhere"))
    assert (code, failures(found)) == (1, ["venue"])
    assert f"{ready['listening']}/nowhere/api/v3/time answered HTTP 404" in found["venue"][1]
    address = ready["listening"].replace("http", "ws") + "/nowhere"
    code, found = check(write(tmp_path, ready, private=address, stream=address))
    assert (code, failures(found)) == (1, ["market stream", "account stream"])
    assert "404" in found["market stream"][1]
    assert f"{address}/ws-api/v3" in found["account stream"][1]


@pytest.mark.slow
def test_missing_limits_fail_by_name_and_limits_below_the_venues_least_too(tmp_path: Path, ready: Ready) -> None:
    code, found = check(write(tmp_path, ready, limits='[risk]\norder_size_max = "0.01"\n'))
    assert (code, failures(found)) == (1, ["limits"])
    assert found["limits"][1].startswith("risk.order_notional_max, risk.position_max, risk.daily_loss_max: a session")
    code, found = check(write(tmp_path, ready, limits=LIMITS.replace('"1000"', '"1"')))
    assert (code, failures(found)) == (1, ["filters"])
    assert "risk.order_notional_max is 1" in found["filters"][1]


@pytest.mark.slow
def test_a_clock_that_is_5_s_off_fails_and_a_refused_rate_is_waited_for(tmp_path: Path) -> None:
    with venue() as ready:
        skew = {"action": "clock_skew", "ms": 5000}
        refusal = {"action": "reject", "method": "GET", "status": 429, "code": -1003, "msg": "Too many requests."}
        for fault in (skew, refusal):
            urllib.request.urlopen(f"{ready['listening']}/sim/faults", data=json.dumps(fault).encode()).close()
        code, found = check(write(tmp_path, ready))
        with urllib.request.urlopen(f"{ready['listening']}/sim/faults") as scripted:
            assert [fault["struck"] for fault in json.load(scripted)][1] == 1
        assert (code, failures(found)) == (1, ["clock"]), found
        assert "s ahead of ours" in found["clock"][1]
        assert "synchronise this machine's clock" in found["clock"][1]


@pytest.mark.slow
def test_without_a_key_the_rest_is_checked(tmp_path: Path, ready: Ready) -> None:
    ended = verbatim("check", write(tmp_path, ready), VERBATIM_API_KEY="", VERBATIM_API_SECRET="")
    assert ended.returncode == 1
    assert "FAIL  key              no credentials: set VERBATIM_API_KEY" in ended.stdout
    assert "OK    market stream" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "failed: key"


# ---- run -----------------------------------------------------------------------------------------


def run(config: Path, *options: str, key: str = "good") -> subprocess.Popen[str]:
    keys = {"VERBATIM_API_KEY": f"key-{key}", "VERBATIM_API_SECRET": "secret"}
    return WarmProcess(
        [*VERBATIM, "run", str(config), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**keys),
    )


def records(folder: Path, kind: Kind) -> list[str]:
    (found,) = list_sessions(folder / "journals")
    return [record.body or "" for record in Journal.open(found.path).records() if record.kind is kind]


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[str, str]:
    """Stop a session in order, and prove its journal."""
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, out + errors
    (found,) = list_sessions(folder / "journals")
    assert verify(found.path).ok
    assert replay_session(found.path).identical
    return out, errors


def journalled(folder: Path, kind: Kind, text: str) -> bool:
    with suppress(NotAJournalError):  # the session begins
        return len(list_sessions(folder / "journals")) == 1 and any(text in body for body in records(folder, kind))
    return False


@pytest.mark.slow
def test_a_session_with_real_money_and_no_limits_does_not_start(tmp_path: Path, ready: Ready) -> None:
    process = run(write(tmp_path, ready, limits=""))
    _, errors = process.communicate(timeout=60)
    (line,) = errors.strip().splitlines()
    assert process.returncode == 3
    assert (
        "risk.order_size_max, risk.order_notional_max, risk.position_max, risk.daily_loss_max: a session that" in line
    )
    assert not list((tmp_path / "journals").glob("[!.]*")), "no session began"


@pytest.mark.slow
def test_a_start_names_venue_network_account_instruments_limits_and_real_money(tmp_path: Path) -> None:
    with venue() as ready, run(write(tmp_path, ready)) as process:
        until(lambda: len(sent_orders(ready)) >= 1)
        _, errors = ended(process, tmp_path)
    lines = errors.splitlines()
    assert f"venue       binance_spot at {ready['listening']}" in lines
    assert "network     live" in lines
    assert "account     main" in lines
    assert "instruments BTCUSDT" in lines
    assert any(line.startswith("limits      order_size_max 0.01, order_notional_max 1000") for line in lines)
    assert "REAL MONEY" in lines
    assert errors.count("running as root") == (1 if os.geteuid() == 0 else 0)


@pytest.mark.slow
def test_a_dry_run_reads_the_account_and_sends_nothing(tmp_path: Path) -> None:
    """Even a key that may not trade is enough; the journal has intents and approved verdicts."""
    with venue() as ready, run(write(tmp_path, ready, limits=""), "--dry-run", key="reads") as process:
        until(lambda: journalled(tmp_path, Kind.VERDICT, '"approved":true'))
        _, errors = ended(process, tmp_path)
        assert sent_orders(ready) == []
    assert "strategies  quoter; dry run, nothing is sent" in errors.splitlines()
    assert "REAL MONEY" not in errors
    assert records(tmp_path, Kind.INTENT)
    assert not any('"purpose":"place"' in body for body in records(tmp_path, Kind.REQUEST))
    (found,) = list_sessions(tmp_path / "journals")
    assert read_session(Journal.open(found.path).session_record().body or "").read_only


@pytest.mark.slow
def test_a_read_only_key_watches_an_account_without_a_strategy(tmp_path: Path) -> None:
    """An order that another program places on the account is read and journalled."""
    with venue() as ready, run(write(tmp_path, ready, strategy=False, limits=""), key="reads") as watching:
        until(lambda: journalled(tmp_path, Kind.FACT, '"fact":"reconciled"'))
        (tmp_path / "other").mkdir()
        with run(write(tmp_path / "other", ready)) as trading:
            until(lambda: journalled(tmp_path, Kind.FACT, '"fact":"order_adopted"'))
            ended(trading, tmp_path / "other")
        _, errors = ended(watching, tmp_path)
    assert "strategies  none; the account is watched" in errors.splitlines()
    assert not any('"purpose":"cancel"' in body for body in records(tmp_path, Kind.REQUEST))


# ---- wrong addresses: the session ends, and names the address and the status ---------------------------


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a server that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "https://elsewhere.example/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transport", "setting", "status"),
    [
        ("standard", "stream", 404),
        ("standard", "private", 301),
        ("fast", "stream", 403),
        ("fast", "private", 404),
    ],
)
def test_a_websocket_address_that_refuses_ends_the_session(
    tmp_path: Path, ready: Ready, status: int, setting: str, transport: str
) -> None:
    with answering(status) as address:
        config = write(tmp_path, ready, transport=transport, **{setting: f"ws://{address}/wrong"})
        process = run(config, "--log-level", "error")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4, errors
    last = errors.strip().splitlines()[-1]
    assert f"verbatim: ws://{address}/wrong/" in last
    assert f"answered HTTP {status} 3 times in a row; correct venue.{setting}" in last
    (found,) = list_sessions(tmp_path / "journals")
    assert verify(found.path).ok
    assert replay_session(found.path).identical


@pytest.mark.slow
@pytest.mark.parametrize("status", [301, 403, 404])
def test_a_rest_address_that_refuses_is_named_at_once(tmp_path: Path, ready: Ready, status: int) -> None:
    with answering(status) as address:
        process = run(write(tmp_path, ready, rest=f"http://{address}/wrong"))
        _, errors = process.communicate(timeout=60)
    (line,) = errors.strip().splitlines()
    assert process.returncode == 4
    assert f"http://{address}/wrong/api/v3/exchangeInfo answered HTTP {status}; correct venue.rest" in line


@pytest.mark.slow
def test_a_recording_with_a_wrong_stream_address_ends_too(tmp_path: Path, ready: Ready) -> None:
    with answering(404) as address:
        given = ("--url", ready["listening"], "--stream", f"ws://{address}/wrong", "--symbol", "BTCUSDT")
        stopped = verbatim("record", *given, "--journals", tmp_path / "journals", "--log-level", "error", seconds=60)
    assert stopped.returncode == 4, stopped.stderr
    assert f"verbatim: ws://{address}/wrong/stream answered HTTP 404 3 times in a row" in stopped.stderr
