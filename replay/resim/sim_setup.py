"""Sets up the simulated venue over a session's market, with its instruments' rules, balances and open orders.

The account is read from the session; if the session does not state it, the caller gives it.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine import facts
from engine.market import rows as r
from engine.model import ONLY, find_instrument
from engine.record_codec import read_fact, read_request
from engine.session_record import SessionBody
from engine.sim.feeds.recorded_feed import RecordedMarket
from engine.sim.modelled_venue import adopt_state, build_venue, decimals_refusal, is_modelled, symbol_rules
from engine.sim.sim_venue import SimVenue
from engine.sim.units import ONE, units
from engine.sim.venue_model import VenueModel
from engine.state.orders import Order
from engine.state.session_state import State
from engine.venues.venue_lookup import installed_venues
from journal.reader import Journal
from journal.record import Kind
from replay.resim.bar_pieces import BarModel, venue_pieces
from replay.resim.timeline import Timeline


class CannotResimulateError(Exception):
    """A session cannot be resimulated. The text is one line."""


def refuse_unsupported_venue(journal: Journal, session: SessionBody) -> None:
    """Refuse a slice, and a session without exactly one venue and instruments that can be simulated.

    Raises:
        CannotResimulateError: The session is one of these.
    """
    if journal.left_out:
        raise CannotResimulateError(f"{journal.folder} is a slice. What to do: resimulate the whole session.")
    names = [venue.name for venue in session.venues]
    if len(names) != 1 or not is_modelled(session.venues[0].kind or names[0]):
        modelled = ", ".join(name for name in installed_venues() if is_modelled(name))
        raise CannotResimulateError(
            f"{journal.folder} is a session of {' and '.join(names) or 'no venue'}; only one of "
            f"{modelled} can be simulated."
        )
    if reason := decimals_refusal(session.instruments):
        raise CannotResimulateError(f"{journal.folder}: {reason}.")


def refuse_session(journal: Journal, session: SessionBody) -> None:
    """Refuse a session that cannot be resimulated.

    Raises:
        CannotResimulateError: It has no simulated venue, no strategy, or not the instruments of its strategies.
    """
    refuse_unsupported_venue(journal, session)
    if not session.strategies:
        raise CannotResimulateError(f"{journal.folder} ran no strategy. What to do: name one with --strategy.")
    known = {instrument.id: instrument for instrument in session.instruments}
    declared = [
        name
        for strategy in session.strategies
        if strategy.declared is not None
        for name in strategy.declared.instruments
    ]
    if declared and not any(find_instrument(known, name) for name in declared):
        symbols = ", ".join(instrument.symbol for instrument in session.instruments)
        remedy = f' What to do: name them, since "{ONLY}" is for a single instrument.' if ONLY in declared else ""
        raise CannotResimulateError(
            f"{journal.folder} has {symbols}, but the strategy declares {', '.join(declared)}.{remedy}"
        )


def build_recorded_venue(timeline: Timeline, session: SessionBody, model: VenueModel) -> SimVenue:
    """Return the simulated venue over a session's market, with an account ACCOUNT_KEY that has no balances yet."""
    by_venue_clock = model.clock == "venue"
    items = timeline.venue_items(
        model.answer_ns + model.venue_ns,
        by_venue_clock=by_venue_clock,
        with_quotes=model.quotes == "fused",
    )
    bars = BarModel(Decimal(model.volume_share), model.feed_ns, model.answer_ns + model.venue_ns + 1 - model.feed_ns)
    # rows in the order of the venue's clock have no facts: without bars, to look for them costs as much as to sort
    if not (by_venue_clock and bars.volume_share and not timeline.may_have(r.BAR)):
        items = venue_pieces(items, session.instruments, bars)
    return build_venue(RecordedMarket(symbol_rules(session), items, ahead_ns=model.feed_ns), session, model)


def adopt_account(
    sim: SimVenue, journal: Journal, state: State, given: Mapping[str, str], *, handed_over: bool, has_account: bool
) -> bool:
    """Give the simulated venue the account's balances and open orders.

    Args:
        sim: The venue.
        journal: The source session.
        state: The engine's state at the handover.
        given: Balances to use if the session states none.
        handed_over: The session ran up to here, so its current balances count; else its first ones.
        has_account: False for a capture, which states no balances.

    Returns:
        True if the session states the balances.

    Raises:
        CannotResimulateError: Neither the session nor `given` states balances.
    """
    account = state.account
    totals: Mapping[str, int] = {}
    if handed_over:
        totals = balances_at(journal, state)
    else:
        _refuse_carried_settlement(journal, account.orders.live)
    if not totals and has_account:  # a capture has no account, so the search would read all of it
        totals = opening_balances(journal)
    is_known = bool(totals)
    if not is_known:
        totals = {asset: units(amount) for asset, amount in given.items()}
    if not totals:
        raise CannotResimulateError(
            f"{journal.folder} states no balances. What to do: give them, as in --balance USDT=100000 --balance BTC=1."
        )
    if not has_account:
        _refuse_missing_margin(journal, state, totals)
    adopt_state(sim, state, totals)
    return is_known


def _refuse_missing_margin(journal: Journal, state: State, totals: Mapping[str, int]) -> None:
    """Refuse a capture of contracts without their margin asset: fees alone would make a balance negative."""
    margins = {instrument.margin for instrument in state.market.instruments if instrument.margin}
    if margins and not margins & totals.keys():
        raise CannotResimulateError(
            f"{journal.folder} needs {' or '.join(sorted(margins))}, in which its contracts settle. "
            f"What to do: give it, as in --balance {min(margins)}=10."
        )


def balances_at(journal: Journal, state: State) -> dict[str, int]:
    """Return the last reported balances, changed by the fills since."""
    balances = state.account.balances.by_asset
    totals = {asset: units(f"{balance.free + balance.locked:f}") for asset, balance in balances.items()}
    assets = {instrument.id: (instrument.base, instrument.quote) for instrument in state.market.instruments}

    def move(asset: str, amount: Decimal, seq: int, venue_ns: int) -> None:
        balance = balances.get(asset)
        if balance is None:
            return
        # a report may arrive after later fills, so the venue's dates decide where both have one
        is_dated = balance.venue_ns > 0 and venue_ns > 0
        if venue_ns > balance.venue_ns if is_dated else seq > balance.seq:
            totals[asset] += int(amount * ONE)

    for record in journal.records(0, state.seq, kinds=(Kind.FACT,)):
        fill = read_fact(record.body or "")
        if not isinstance(fill, facts.OrderFilled):
            continue
        base, quote = assets[fill.instrument]
        move(base, fill.quantity * fill.side.sign, record.seq, fill.venue_ns)
        move(quote, -fill.quantity * fill.price * fill.side.sign, record.seq, fill.venue_ns)
        move(fill.fee_asset, -fill.fee, record.seq, fill.venue_ns)
    return totals


def _refuse_carried_settlement(journal: Journal, carried: Mapping[str, Order]) -> None:
    """Refuse a session with a carried order that ended before this session began.

    The venue's first balances include its fills, and the model cannot repeat them.
    """
    if not carried:
        return
    for record in journal.records(kinds=(Kind.FACT,)):
        fact = read_fact(record.body or "")
        match fact:
            case facts.Reconciled():
                return
            case facts.OrderFilled() | facts.OrderClosed() if fact.client_order_id in carried:
                raise CannotResimulateError(
                    f"{journal.folder}: order {fact.client_order_id} of the session before was settled before this one "
                    "began, and the model cannot repeat that. "
                    "What to do: leave out --modelled; then the part before the first change is exact."
                )
            case _:
                pass


def opening_balances(journal: Journal) -> dict[str, int]:
    """Return the balances of the venue's first answer, before an order of this session was sent."""
    totals: dict[str, int] = {}
    for record in journal.records(kinds=(Kind.FACT, Kind.REQUEST)):
        if record.kind is Kind.REQUEST:
            if totals and read_request(record.body or "").placed:
                break
            continue
        fact = read_fact(record.body or "")
        if isinstance(fact, facts.BalanceChanged):
            # a later report may contain fills of carried orders
            totals.setdefault(fact.asset, units(f"{fact.free + fact.locked:f}"))
    return totals
