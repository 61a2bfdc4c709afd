"""Checks of an ended session in virtual time: its journal, its replay, and its books beside the venue's."""

from decimal import Decimal

from journal.verify import verify
from replay.replay import replay_session
from verbatim.testing import VirtualSession


def check_ordered_end(session: VirtualSession) -> None:
    """Check the journal, its replay, and our account against the venue's own books after an ordered end."""
    assert verify(session.folder).problems == []
    verdict = replay_session(session.folder)
    assert verdict.identical, verdict.text()
    theirs = session.venue.get("/sim/state")
    assert theirs["open_orders"] == []
    assert set(theirs["client_order_ids"].values()) <= {1}
    booked = sorted(fill_id for order in session.state.account.orders.all() for fill_id in order.fill_ids)
    assert set(booked) <= {str(fill["trade_id"]) for fill in theirs["fills"]}
    for asset, held in theirs["balances"]["test"].items():
        if asset in session.state.account.balances.by_asset:
            ours = session.state.account.balances.get(asset)
            assert (ours.free, ours.locked) == (Decimal(held["free"]), Decimal(held["locked"])), asset
