"""A guard of two accounts in real processes: it watches the newest session of each, and cancels at that one alone."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from test_cli_live import ROOT, Ready, environment, state_of, until, venue
from test_emergency_cancel import open_at
from warm_processes import VERBATIM, WarmProcess

from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from journal.reader import Journal
from journal.recover import recover
from journal.sessions import list_sessions
from replay.replay import replay_session

KEYS = {
    f"VERBATIM_API_{part}_{name}": value
    for name in ("ONE", "TWO")
    for part, value in (("KEY", DEMO_KEY), ("SECRET", DEMO_SECRET))
}


def config_of(folder: Path, venues: Mapping[str, Ready], *accounts: str) -> Path:
    """Write a configuration of both venues with these accounts; the strategy trades where there is one."""
    lines = [f"instruments = {json.dumps([f'{name}:BTCUSDT' for name in venues])}"]
    for name, ready in venues.items():
        stream = str(ready["listening"]).replace("http", "ws", 1)
        lines += [f"[venue.{name}]", 'kind = "binance_spot"', f'rest = "{ready["listening"]}"']
        lines += [f'stream = "{stream}"', f'private = "{stream}"']
    lines += [f"[account.{name}]" for name in accounts]
    lines += ["[strategy.both]", f'file = "{ROOT}/tests/strategies/both.py:Both"', "[strategy.both.parameters]"]
    lines += [f'second = "{accounts[-1]}:BTCUSDT"', "[risk]", "sell_holdings = true", "[session]"]
    path = folder / f"{'-'.join(accounts)}.toml"
    path.write_text("\n".join([*lines, f'journals = "{folder}/journals"', ""]), encoding="utf-8")
    return path


@contextmanager
def process(command: str, config: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    words = [*VERBATIM, command, str(config), *options]
    with WarmProcess(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(**KEYS)
    ) as found:
        try:
            yield found
        finally:
            found.kill()


def sessions_at(ready: Ready) -> set[str]:
    """Return the sessions that placed orders at a venue."""
    return {str(order["client_order_id"])[:8] for order in state_of(ready)["orders"]}


@pytest.mark.slow
def test_orders_of_a_killed_session_are_cancelled_while_another_account_trades(tmp_path: Path) -> None:
    """Both accounts have orders of the killed session; a session of one account begins and trades on."""
    with ExitStack() as stack:
        venues = {name: stack.enter_context(venue("BTCUSDT")) for name in ("one", "two")}
        both, alone = config_of(tmp_path, venues, "one", "two"), config_of(tmp_path, venues, "one")
        with process("run", both) as first:
            until(lambda: all(open_at(each) for each in venues.values()))
            first.kill()
            first.wait(60)
        [killed] = list_sessions(tmp_path / "journals")
        running = stack.enter_context(process("run", alone))
        until(lambda: len(list_sessions(tmp_path / "journals")) == 2)
        trading = list_sessions(tmp_path / "journals")[-1]
        until(lambda: trading.session_id in sessions_at(venues["one"]))
        left = open_at(venues["two"])
        assert {name[:8] for name in left} == {killed.session_id}
        stack.enter_context(process("guard", both, "--after", "2"))
        until(lambda: open_at(venues["two"]) == [])
        until(lambda: len(list_sessions(tmp_path / "journals")) == 3)
        of_guard = list_sessions(tmp_path / "journals")[-1].path
        until(lambda: Journal.open(of_guard).closed)
        assert running.poll() is None
        assert open_at(venues["one"]) != [], "they belong to the session that trades"
        running.terminate()
        running.communicate(timeout=60)
        assert running.returncode == 0
        assert open_at(venues["one"]) == []
    for session in list_sessions(tmp_path / "journals"):
        recover(session.path)
        assert replay_session(session.path).identical
