"""A change moves no part of the account that does not claim it: CLAIMS spares the reducers of all other parts."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from calm_venue import CalmVenue
from msgspec.structs import replace

import engine.apply.messages
import engine.kernel
from engine.state import account_fold
from engine.state.account_fold import fold
from engine.state.changes import Change, Requested, Stamp
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account
from replay.rebuild import rebuild
from verbatim.testing import VirtualSession, strategy_settings

TESTS = Path(__file__).parent
PARTS = Account.__struct_fields__


def rebuild_with_all_reducers(folder: Path, patch: pytest.MonkeyPatch) -> Counter[str]:
    """Rebuild a session, compare each fold with one by the reducers of all parts, and count the folds by change."""
    folded: Counter[str] = Counter()

    def checked(account: Account, change: Change, at: Stamp, settings: ReducerSettings) -> Account:
        moved = fold(account, change, at, settings)
        with pytest.MonkeyPatch.context() as all_claims:
            all_claims.setattr(account_fold, "CLAIMS", dict.fromkeys(account_fold.CLAIMS, PARTS))
            all_claims.setattr(account_fold, "REQUEST_CLAIMS", dict.fromkeys(account_fold.REQUEST_CLAIMS, PARTS))
            all_claims.setattr(account_fold, "UNMOVED", {})
            by_all = fold(account, change, at, replace(settings, moves={}))
        wrong = [name for name in PARTS if getattr(moved, name) != getattr(by_all, name)]
        assert not wrong, f"{type(change).__name__} moves {wrong}, which do not claim it"
        folded[change.request.purpose if isinstance(change, Requested) else type(change).__name__] += 1
        return moved

    patch.setattr(engine.kernel, "fold", checked)
    patch.setattr(engine.apply.messages, "fold", checked)
    rebuild(folder, use_snapshots=False)
    return folded


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_change_of_a_golden_session_moves_only_what_claims_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    folder = shutil.copytree(TESTS / "golden" / f"v{version}", tmp_path / "golden")
    folded = rebuild_with_all_reducers(folder, monkeypatch)
    assert {"OrderAccepted", "OrderFilled", "OrderClosed", "BalanceChanged", "Reconciled", "place"} <= folded.keys()


def test_a_change_of_a_new_session_moves_only_what_claims_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With resting orders, a lost link, a safety order and a ledger."""
    requote = strategy_settings(TESTS / "strategies/requote.py", "Requote")
    venue = CalmVenue()
    session = VirtualSession(venue, tmp_path / "s", strategies=[requote]).run(3)
    venue.fault(action="disconnect", target="private")
    session.run(3).command("cancel_all").run(3).command("resume").run(2).command("pause").run(1)
    session.stop()
    folded = rebuild_with_all_reducers(session.folder, monkeypatch)
    assert {"SafetyOrdered", "SafetyOrderEnded", "LinkMoved", "Commanded", "TimerFired", "cancel"} <= folded.keys()
