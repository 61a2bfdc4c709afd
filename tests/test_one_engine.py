"""One engine trades an account: two processes at once on one host, and a rival whose orders bear our mark."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from by_hand import ByHand, report, shown
from test_cli_live import config_for, environment, state_of, until, venue
from warm_processes import VERBATIM, WarmProcess, run

from engine.live.account_lock import AccountBusyError, AccountLock, lock_name
from engine.session_record import EngineSettings
from engine.venues.order_ids import ORDER_MARK, ReadableOrderIds
from journal.reader import Journal
from journal.record import canonical
from journal.sessions import list_sessions
from replay.replay import replay_session

QUIET = {"orders": 0}
RIVAL = "zzzzzzzz-quoter-1-41-0"


@pytest.mark.slow
def test_two_engines_started_at_once_exactly_one_trades(tmp_path: Path) -> None:
    with venue() as ready:
        command = [*VERBATIM, "run", str(config_for(tmp_path, ready["listening"])), "--json"]
        both = [
            WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
            for _ in range(2)
        ]
        until(lambda: any(process.poll() is not None for process in both), 60)
        [refused] = [process for process in both if process.poll() is not None]
        [trader] = [process for process in both if process is not refused]
        _, errors = refused.communicate(timeout=60)
        assert refused.returncode == 5, errors
        line = errors.strip().splitlines()[-1]
        assert f"is already traded from {tmp_path}/journals by process {trader.pid}, " in line
        until(lambda: len(state_of(ready)["orders"]) >= 2, 60)
        third = run(command, timeout=60, env=environment())
        trader.send_signal(signal.SIGTERM)
        out, errors = trader.communicate(timeout=60)
        assert trader.returncode == 0, errors
        [folder] = list_sessions(tmp_path / "journals")
        assert third.returncode == 5
        assert f"process {trader.pid}, session {folder.session_id}" in third.stderr
        assert {order["client_order_id"][:8] for order in state_of(ready)["orders"]} == {folder.session_id}
    assert json.loads(out.splitlines()[-1])["session"] == folder.session_id
    assert Journal.open(folder.path).closed
    assert replay_session(folder.path).identical


def test_a_lock_ends_with_its_holder_and_names_each_account(tmp_path: Path) -> None:
    first = AccountLock(tmp_path, "binance_spot", "main")
    first.name_session("abcdefgh")
    AccountLock(tmp_path, "binance_spot", "other").release()
    with pytest.raises(AccountBusyError, match="session abcdefgh"):
        AccountLock(tmp_path, "binance_spot", "main")
    first.release()
    again = AccountLock(tmp_path, "binance_spot", "main")
    file = tmp_path / ".locks" / lock_name("binance_spot", "main")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    again.release()
    assert lock_name("a", "../../b") != lock_name("a", ".._.._b")
    assert "/" not in lock_name("../x:Y", "../../b")


@pytest.mark.parametrize(
    "holder", [b"", b"[]", b'{"pid":"x"}', b"\xff", b'{"pid":1,"session":"\\u001b[2J"}', b"9" * 9000]
)
def test_a_strange_lock_file_is_no_reason_to_crash(tmp_path: Path, holder: bytes) -> None:
    lock = AccountLock(tmp_path, "v", "a")
    (tmp_path / ".locks" / lock_name("v", "a")).write_bytes(holder)
    with pytest.raises(AccountBusyError) as refused:
        AccountLock(tmp_path, "v", "a")
    assert str(refused.value).isprintable()
    lock.release()


@pytest.mark.parametrize("source", ["private stream", "openOrders"])
def test_an_order_with_our_mark_of_another_session_halts(source: str) -> None:
    hand = ByHand(parameters=QUIET, engine=EngineSettings(halt_on_rival=True)).run(1.5)
    assert hand.mode == "running"
    if source == "private stream":
        hand.private(report(RIVAL, "NEW", "NEW"))
    else:
        hand.answers["open_orders"] = [shown(RIVAL)]
        hand.command("reconcile")
    assert hand.mode == "halted"
    [reason] = [reason for reason in hand.state.account.modes.reasons if reason.code == "rival_engine"]
    assert (reason.about, "session zzzzzzzz" in reason.text) == (RIVAL, True)
    assert hand.order.adopted
    hand.answers.pop("open_orders", None)
    hand.command("resume").command("reconcile").run(5)
    assert hand.facts("order_adopted") != []


@pytest.mark.parametrize("name", ["web-1", "bbbbbbbb-quoter-1-5", "x-R4BD3S82e9ef29d8346440f0b28b86", "ios_0123456789"])
def test_orders_of_other_programs_do_not_halt(name: str) -> None:
    hand = ByHand(parameters=QUIET, engine=EngineSettings(halt_on_rival=True)).run(1.5)
    hand.private(report(name, "NEW", "NEW"))
    assert (hand.mode, hand.order.adopted) == ("running", True)


def test_an_old_order_that_is_told_closed_does_not_halt() -> None:
    hand = ByHand(parameters=QUIET, engine=EngineSettings(halt_on_rival=True)).run(1.5)
    hand.private(report(RIVAL, "CANCELED", "CANCELED"))
    assert hand.mode == "running"


def test_without_the_setting_a_rival_is_adopted_as_before() -> None:
    hand = ByHand(parameters=QUIET).run(1.5)
    hand.private(report(RIVAL, "NEW", "NEW"))
    assert hand.mode == "running"
    assert "halt_on_rival" not in canonical(hand.body)


@pytest.mark.parametrize("ids", [ReadableOrderIds(36), ReadableOrderIds(36, "_"), ReadableOrderIds(36, "")])
@pytest.mark.parametrize("strategy", ["quoter", "a strategy with a long name that does not fit", "ü"])
def test_every_id_of_ours_bears_the_mark(ids: ReadableOrderIds, strategy: str) -> None:
    given: dict[str, Any] = {"strategy": strategy, "version": "1", "seq": 48212, "leg": 0}
    assert ORDER_MARK.fullmatch(ids.make(session="abcdefg2", **given))
