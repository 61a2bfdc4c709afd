"""The contract of a venue as a function: `check_venue` runs it on ours and on any other, with recorded messages as
vectors.

Knows what the engine relies on, and no venue.
"""

import copy
import json
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

from engine.events import Event, FillsReport, InstrumentsReport, OrderReport, Outcome
from engine.facts import ListLeg, NewOrder
from engine.market.rows import COLUMNS, INSTRUMENT, LAST, SEQ, TIME_NS, Rows
from engine.model import Instrument, ListKind, MarginMode, OrderTerm, OrderType, Side, TimeInForce
from engine.money import ZERO
from engine.order_terms import RecordedTerms, terms_of
from engine.requests import LinkRole, PolledStream, Transport, Unsigned
from engine.session_record import SECOND_NS
from engine.state.fill_cursor import recorded_cursor
from engine.state.rate_budgets import RateBudget
from engine.venues.contract_accounts import (
    HasPositions,
    HoldsOrdersApart,
    PlacesContracts,
    PositionTerms,
    SetsMargin,
    SetsMarginApart,
    StreamTokens,
)
from engine.venues.metadata_parts import metadata_requests
from engine.venues.optional_parts import DeadManSwitch, MetadataParts, PlacesLists, PresentsSecret, ReadsPublicAccounts
from engine.venues.order_routes import balances_of
from engine.venues.polling import decode_polled, polls_of
from engine.venues.signing import Credentials
from engine.venues.venue import Network, RowsAndEvents, Venue
from journal.record import canonical
from verbatim.venue_vectors import compare_events, mutations, only_answer, read_cases

MakeVenue = Callable[[Sequence[Instrument], int], Venue]

NOW_NS = 1_723_161_250 * SECOND_NS
CHARGES_MAX = 100_000  # no venue allows more requests of one address at one instant
TERM_TYPES = {
    OrderTerm.TRAILING: OrderType.STOP,
    OrderTerm.ICEBERG: OrderType.LIMIT,
    OrderTerm.QUOTE_QUANTITY: OrderType.MARKET,
    OrderTerm.CLOSE_POSITION: OrderType.STOP,
}
TRIGGERED_TYPES = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT})
# calls about the account as a whole
ACCOUNT_CALLS = frozenset(
    {
        "metadata",
        "open_orders",
        "balances",
        "other_balances",
        "server_time",
        "open_held",
        "positions",
        "position_mode",
        "renew_token",
    }
)
# calls that change nothing: a venue whose accounts anyone may read needs no signature for them
READS = ACCOUNT_CALLS | {"query_order", "fills_after", "contract_settings", "query_held"}
SECRET_HEADERS = ("set-cookie", "cookie", "authorization", "server", "date")


def check_venue(make: MakeVenue, vectors: Path, *, recv_window_ms: int = 5_000) -> tuple[str, ...]:
    """Check everything that the engine relies on in a venue. Returns the names of the checks that ran.

    The folder of vectors holds JSON files:

    - `metadata.json`: the venue's description of its instruments, as it answers the metadata request. If that takes
      several, the first answer, and `metadata_2.json` and so on.
    - `market.json`: a list of cases `{"payload": text, "rows": [...]}` or `{"payload": text, "events": [...]}`, or with
      both. A row is a list of type, instrument, venue_ns, and the columns A to E (engine/market/rows.py).
    - `private.json`, of a venue that trades: a list of cases `{"payload": text, "events": [...]}`.
    - `answers.json`: a list of cases `{"call": name, "status": 200, "headers": {}, "payload": text, "events": [...]}`.
      The call is one of metadata, server_time, snapshot, place, cancel, cancel_all, query_order, open_orders, balances,
      fills_after, dead_man_switch, place_oco, place_opoco; of a venue that has them also other_balances, place_held,
      cancel_held, query_held, open_held, cancel_all_held, positions, position_mode, contract_settings, set_margin,
      set_leverage, set_margin_mode, renew_token.
    - `credentials.json`, of a venue that trades: key, secret and, if it has one, passphrase. Any that the signer
      accepts.

    An event is `{"event": "OrderReport", ...}` with the fields to compare; numbers that are decimals are text.

    Args:
        make: The venue's class.
        vectors: The folder.
        recv_window_ms: The receive window of the venue.

    Raises:
        AssertionError: The venue breaks the contract; the text says where.

    """
    contract = _Contract(make, vectors, recv_window_ms)
    names = [name for name in dir(contract) if name.startswith("check_")]
    if not contract.venue.trades:
        names = [name for name in names if not name.startswith("check_account_")]
    for name in names:
        getattr(contract, name)()
    return tuple(name.removeprefix("check_") for name in names)


class _Contract:
    """One venue and its vectors."""

    def __init__(self, make: MakeVenue, vectors: Path, recv_window_ms: int) -> None:
        self._vectors = vectors
        self.report = self._read_metadata(make((), recv_window_ms))
        self.venue = make(self.report.instruments, recv_window_ms)
        self._random = Random(1)  # noqa: S311 - mutations that repeat, and no secret

    def _read_metadata(self, venue: Venue) -> InstrumentsReport:
        """Return what the vectors describe, in one answer or in as many as the venue has requests."""
        first, others = self._vectors / "metadata.json", sorted(self._vectors.glob("metadata_[2-9].json"))
        payloads = [path.read_bytes() for path in (first, *others)]
        requests = metadata_requests(venue, ())
        assert len(requests) == len(payloads), f"{len(requests)} requests for metadata, {len(payloads)} answers"
        if isinstance(venue.metadata, MetadataParts):
            return venue.metadata.read_parts(payloads)
        return venue.metadata.read(payloads[0])

    # ---- what it says of itself

    def check_instruments_are_its_own_and_survive_a_record(self) -> None:
        """Verify that every instrument bears the venue's name, and reads back from JSON as it was."""
        assert self.report.instruments, "metadata.json describes no instrument"
        for instrument in self.report.instruments:
            assert instrument.venue == self.venue.name, instrument
            assert instrument.id == f"{self.venue.name}:{instrument.symbol}", instrument
            assert min(instrument.price_scale, instrument.size_scale) >= 0, instrument
            assert instrument.tick_size >= 0, instrument
            again = msgspec.json.decode(canonical(instrument), type=Instrument)
            assert again == instrument, f"{instrument} is {again} once it was recorded"

    def check_links_are_named_after_the_venue(self) -> None:
        """Verify that sources begin with the venue's name and are distinct, and each instrument has a market link."""
        assert re.fullmatch(r"[a-z0-9_]{1,40}", self.venue.name), f"{self.venue.name!r} is no name of a venue"
        plans = self.venue.links()
        sources = [plan.source for plan in plans]
        assert len(set(sources)) == len(sources), sources
        assert all(source.startswith(f"{self.venue.name}.") for source in sources), sources
        assert plans == self.venue.links(), "links differ from call to call"
        market = [plan.source for plan in plans if plan.role is LinkRole.MARKET]
        streamed = {of.id for source in market for of in self.venue.instruments_of(source)}
        assert streamed == {of.id for of in self.report.instruments}, (
            "an instrument has no stream, or a stream no instrument"
        )
        assert all(self.venue.streams_of(source) for source in market), "a market link without data"
        has_private = any(plan.role is LinkRole.PRIVATE for plan in plans)
        assert has_private == self.venue.trades, "a private link and an account belong together"

    def check_endpoints_are_addresses(self) -> None:
        """Verify that networks are known, and public addresses are encrypted."""
        assert self.venue.endpoints, "no network"
        for network, endpoints in self.venue.endpoints.items():
            assert network in Network, network
            secure = "" if network is Network.LOCAL else "s"
            for name, scheme in (
                ("rest", "http"),
                ("stream", "ws"),
                ("private", "ws"),
                ("public_rest", "http"),
                ("public_stream", "ws"),
            ):
                address = getattr(endpoints, name)
                assert not address or re.match(rf"{scheme}{secure}s?://[^/]", address), f"{network} {name}: {address}"
                assert "@" not in address, f"{network} {name} holds a credential"

    def check_headers_that_are_kept_hold_no_secret(self) -> None:
        """Verify that names are lower case; cookies stay out of the journal."""
        kept = self.venue.kept_headers
        assert all(name == name.lower() for name in (*kept.names, *kept.prefixes)), kept
        assert not kept.keep([(name, "x") for name in SECRET_HEADERS]), "a header is kept that may hold a secret"

    def check_polled_links_are_read_by_polls(self) -> None:
        """Verify that a polled market link has one poll for each stream, and no other link has one."""
        for plan in self.venue.links():
            for of in self.venue.instruments_of(plan.source) if plan.role is LinkRole.MARKET else ():
                polls = polls_of(self.venue, of)
                streams = [poll.stream for poll in polls]
                assert sorted(streams) == sorted(self.venue.streams_of(plan.source) if plan.polled else ()), streams
                assert all(poll.every_ns > 0 for poll in polls), "a poll without a cadence"
            assert not plan.polled or not self.venue.subscriptions(plan.source), f"{plan.source} has no socket"

    # ---- requests

    def calls(self) -> Iterator[tuple[str, Unsigned]]:
        """Yield every request that the engine makes, by the names that answers.json uses."""
        venue, instrument = self.venue, self.report.instruments[0]
        yield "metadata", venue.metadata.request((instrument.symbol,))
        if isinstance(venue.metadata, MetadataParts):
            for number, part in enumerate(venue.metadata.requests((instrument.symbol,)), 1):
                yield f"metadata_{number}", part
        if (clock := venue.server_time()) is not None:
            yield "server_time", clock
        if venue.snapshots is not None:
            yield "snapshot", venue.snapshots.request(instrument)
        for poll in polls_of(venue, instrument):
            yield f"poll_{poll.stream.name.lower()}", poll.unsigned
        if not venue.trades:
            return
        account, order_id = venue.account, self._order_id(1)
        times = sorted(venue.capabilities.times_in_force)
        for kind in sorted(venue.capabilities.types):
            for in_force in [TimeInForce.GTC] if kind in venue.capabilities.gtc_only else times:
                yield self._placing(kind), self._place(order_id, kind, in_force)
        for term in sorted(venue.capabilities.terms):
            yield self._placing(TERM_TYPES[term]), self._place_with(order_id, term)
        for list_kind in sorted(venue.capabilities.order_lists):
            assert isinstance(account, PlacesLists), "a venue with the capability has the request"
            yield f"place_{list_kind}", account.place_list(self._order_id(2), instrument, self._legs(list_kind))
        yield "cancel", account.cancel(instrument, order_id, "venue-1")
        if venue.capabilities.cancel_all:
            yield "cancel_all", account.cancel_all(instrument)
        if venue.capabilities.dead_man_switch:
            assert isinstance(account, DeadManSwitch), "a venue with the capability has the request"
            yield "dead_man_switch", account.dead_man_switch(instrument, 60_000)
        yield "query_order", account.query_order(instrument, order_id)
        yield "open_orders", account.open_orders()
        yield from zip(("balances", "other_balances"), balances_of(account), strict=False)
        yield "fills_after", account.fills_after(instrument, venue.fill_cursor.start)
        yield from self._calls_of_contracts(order_id)

    def _calls_of_contracts(self, order_id: str) -> Iterator[tuple[str, Unsigned]]:
        """Yield the requests that venues of contracts have."""
        account, instrument = self.venue.account, self.report.instruments[0]
        if isinstance(account, HoldsOrdersApart):
            yield "cancel_held", account.cancel_held(instrument, order_id)
            yield "cancel_all_held", account.cancel_all_held(instrument)
            yield "query_held", account.query_held(instrument, order_id)
            yield "open_held", account.open_held()
        if isinstance(account, HasPositions):
            yield "positions", account.positions()
            yield "position_mode", account.position_mode()
            yield "contract_settings", account.contract_settings(instrument)
        if isinstance(account, SetsMargin):
            yield "set_margin", account.set_margin(instrument, Decimal(5), MarginMode.ISOLATED)
        if isinstance(account, SetsMarginApart):
            yield "set_leverage", account.set_leverage(instrument, Decimal(5))
            yield "set_margin_mode", account.set_margin_mode(instrument, MarginMode.ISOLATED)
        if isinstance(account, StreamTokens):
            yield "stream_token", account.stream_token()
            yield "renew_token", account.renew_token()

    def _placing(self, kind: OrderType) -> str:
        """Return the name of the request for an order of a type."""
        holds = isinstance(self.venue.account, HoldsOrdersApart)
        return "place_held" if holds and kind in TRIGGERED_TYPES else "place"

    def _order_id(self, seq: int, strategy: str = "quoter") -> str:
        ids = self.venue.order_ids
        return ids.make(session="k3v9x2ab", strategy=strategy, version="1.0", seq=seq, leg=0)

    def _place(self, order_id: str, kind: OrderType, in_force: TimeInForce, one: Decimal = Decimal(1)) -> Unsigned:
        instrument = self.report.instruments[0]
        price = one * (instrument.tick_size or Decimal(1))
        if kind is OrderType.MARKET and self.venue.capabilities.market_bound:
            kind, in_force = OrderType.LIMIT, TimeInForce.IOC
        terms = terms_of(kind, RecordedTerms(price, in_force, stop_price=price, venue_type="ANOTHER"))
        return self.venue.account.place(
            order_id, instrument, Side.BUY, one * (instrument.lot_size or Decimal(1)), terms
        )

    def _place_with(self, order_id: str, term: OrderTerm) -> Unsigned:
        """Return the request for an order with a term that not every venue has."""
        instrument, in_force = self.report.instruments[0], TimeInForce.GTC
        price, lot = instrument.tick_size or Decimal(1), instrument.lot_size or Decimal(1)
        recorded = {
            OrderTerm.TRAILING: RecordedTerms(price, in_force, trailing_delta=100),
            OrderTerm.ICEBERG: RecordedTerms(price, in_force, iceberg_quantity=lot),
            OrderTerm.QUOTE_QUANTITY: RecordedTerms(price, in_force, quote_quantity=price),
            OrderTerm.CLOSE_POSITION: RecordedTerms(price, in_force, stop_price=price),
        }[term]
        terms, account = terms_of(TERM_TYPES[term], recorded), self.venue.account
        if term is OrderTerm.CLOSE_POSITION:
            assert isinstance(account, PlacesContracts), "a venue with the capability has the request"
            closes = PositionTerms(closes_position=True)
            return account.place_contract(order_id, instrument, Side.SELL, 2 * lot, terms, contract=closes)
        return account.place(order_id, instrument, Side.SELL, 2 * lot, terms)

    def _legs(self, kind: ListKind) -> list[ListLeg]:
        """Return the orders of a list of this kind: an entry if it has one, the stop and the target."""
        instrument = self.report.instruments[0]
        tick, names = instrument.tick_size or Decimal(1), [self._order_id(3), self._order_id(4), self._order_id(5)]
        exits = (OrderType.STOP, ZERO, 2 * tick), (OrderType.LIMIT_MAKER, 4 * tick, ZERO)
        has_entry = kind is ListKind.OPOCO
        entry = ListLeg(names[2], self._order(Side.BUY, OrderType.LIMIT, 3 * tick, ZERO))
        waits_for = entry.client_order_id if has_entry else ""
        pair = [
            ListLeg(name, self._order(Side.SELL, order_type, price, stop), waits_for)
            for name, (order_type, price, stop) in zip(names[:2], exits, strict=True)
        ]
        return [entry, *pair] if has_entry else pair

    def _order(self, side: Side, order_type: OrderType, price: Decimal, stop_price: Decimal) -> NewOrder:
        instrument = self.report.instruments[0]
        quantity = instrument.lot_size or Decimal(1)
        return NewOrder(instrument.id, side, order_type, quantity, price=price, stop_price=stop_price)

    def check_order_lists_name_their_orders(self) -> None:
        """Verify that the placement of a list carries all our ids, and counts each order."""
        for kind in sorted(self.venue.capabilities.order_lists):
            unsigned = next(unsigned for name, unsigned in self.calls() if name == f"place_{kind}")
            names = {self._order_id(2), *(leg.client_order_id for leg in self._legs(kind))}
            assert names <= {value for _, value in unsigned.params}, f"a {kind} lacks an id of ours"
            assert unsigned.orders == len(self._legs(kind)), f"a {kind} counts as {unsigned.orders} orders"

    def check_requests_are_values(self) -> None:
        """Verify that a call always gives the same request, and a record can hold it: no time, signature or key."""
        for (name, first), (_, second) in zip(self.calls(), self.calls(), strict=True):
            assert first == second, f"{name} differs from call to call"
            again = msgspec.json.decode(canonical(first), type=Unsigned)
            assert again == first, f"{name}: {first} is {again} once it was recorded"

    def check_account_orders_have_one_text(self) -> None:
        """Verify that numbers with and without zeros at their end give one request: a record drops those zeros."""
        for kind in sorted(self.venue.capabilities.types):
            in_force = TimeInForce.GTC if kind in self.venue.capabilities.gtc_only else TimeInForce.IOC
            in_force = in_force if in_force in self.venue.capabilities.times_in_force else TimeInForce.GTC
            first, second = (self._place(self._order_id(1), kind, in_force, Decimal(one)) for one in ("1", "1.000"))
            assert first == second, f"the text of a {kind} depends on zeros at the end of its numbers"

    def check_a_request_costs_something_and_budgets_recover(self) -> None:
        """Verify that requests at one instant use a budget up, and an hour later it is there again."""
        rates = self.venue.rates
        for name, unsigned in self.calls():
            budget = RateBudget(rate_limits=self.report.rate_limits)
            assert rates.charge(budget, unsigned, NOW_NS) != budget, f"{name} costs nothing"
            for _ in range(CHARGES_MAX):
                if rates.is_exhausted(budget, NOW_NS) or rates.reject_reason(budget, NOW_NS):
                    break
                budget = rates.charge(budget, unsigned, NOW_NS)
            else:
                raise AssertionError(f"{CHARGES_MAX} times {name} at one instant use no budget up")
            later_ns = NOW_NS + 3_600 * SECOND_NS
            assert not rates.is_exhausted(budget, later_ns), f"after {name} the budget never recovers"
            assert not rates.reject_reason(budget, later_ns), f"after {name} no order may be sent for an hour"

    # ---- signing

    def _credentials(self) -> Credentials:
        path = self._vectors / "credentials.json"
        return Credentials(**json.loads(path.read_text("utf-8")))

    @property
    def _presents_secret(self) -> bool:
        return isinstance(self.venue.signer, PresentsSecret) and self.venue.signer.presents_secret

    @property
    def _reads_are_public(self) -> bool:
        return isinstance(self.venue.signer, ReadsPublicAccounts) and self.venue.signer.reads_are_public

    def check_public_requests_need_no_key(self) -> None:
        """Verify that what is not signed is sent without a key."""
        for name, unsigned in self.calls():
            if not unsigned.signed and unsigned.transport is Transport.REST:
                assert self.venue.signer.sign_http(unsigned, None, NOW_NS).method, name
        for source in (plan.source for plan in self.venue.links() if plan.role is LinkRole.MARKET):
            for unsigned in self.venue.subscriptions(source):
                if not unsigned.signed:
                    assert self.venue.signer.sign_frame(unsigned, None, NOW_NS, "1"), source

    def check_account_keys_show_nothing(self) -> None:
        """Verify that a key has no text, copy or pickle, and that messages show no secret."""
        credentials = self._credentials()
        key = self.venue.signer.load_key(credentials)
        secrets = [text for text in (credentials.key, credentials.secret, credentials.passphrase) if text]
        assert not any(text in repr(credentials) for text in secrets), "the credentials can be read"
        assert not any(text in f"{key} {key!r} {vars(key) if hasattr(key, '__dict__') else ''}" for text in secrets)
        for write_down in (pickle.dumps, copy.copy, copy.deepcopy):
            try:
                write_down(key)
            except TypeError:
                continue
            raise AssertionError(f"a key can be written down by {write_down.__module__}.{write_down.__name__}")
        for name, unsigned in self.calls():
            if unsigned.transport is not Transport.REST:
                continue
            message = self.venue.signer.sign_http(unsigned, key, NOW_NS)
            shown = "" if self._presents_secret and unsigned.signed else f"{message.headers}"
            sent = f"{message.path_and_query} {shown}".encode() + message.body
            assert credentials.secret.encode() not in sent, f"{name} sends the secret"
            assert not any(text in repr(message) for text in secrets), f"the text of {name} shows a secret"

    def check_account_signatures_are_repeatable(self) -> None:
        """Verify that the same request, key and time give the same bytes; another time gives others if a request is
        signed, unless the venue has no signatures.
        """
        signer, key = self.venue.signer, self.venue.signer.load_key(self._credentials())
        private = [plan.source for plan in self.venue.links() if plan.role is LinkRole.PRIVATE]
        for name, unsigned in self.calls():
            if unsigned.transport is Transport.REST:
                first = signer.sign_http(unsigned, key, NOW_NS)
                assert first == signer.sign_http(unsigned, key, NOW_NS), f"{name} is signed differently each time"
                if unsigned.signed and not self._presents_secret and not (self._reads_are_public and name in READS):
                    later = signer.sign_http(unsigned, key, NOW_NS + SECOND_NS)
                    assert later != first, f"{name} can be sent again by anyone who saw it"
        for unsigned in (one for source in private for one in self.venue.subscriptions(source)):
            first_frame = signer.sign_frame(unsigned, key, NOW_NS, "7")
            assert first_frame == signer.sign_frame(unsigned, key, NOW_NS, "7"), unsigned

    # ---- orders and fills

    def check_account_order_ids(self) -> None:
        """Verify that ids are valid, distinct and repeatable, also for long names, and give their session back."""
        ids = self.venue.order_ids
        for strategy in ("q", "market_maker", "a strategy: with a very long name, and punctuation"):
            made = [self._order_id(seq, strategy) for seq in range(1, 2_000, 7)]
            assert made == [self._order_id(seq, strategy) for seq in range(1, 2_000, 7)]
            assert len(set(made)) == len(made), "two orders have one id"
            assert all(ids.is_valid(one) for one in made), f"the venue takes no id such as {made[0]}"
            assert {ids.session_of(one) for one in made} == {"k3v9x2ab"}, f"{made[0]} does not give its session"
        assert not ids.is_valid(""), "an empty id"
        assert ids.session_of("web_8c1f0") != "k3v9x2ab", "another's id"

    def check_account_orders_are_as_capable_as_stated(self) -> None:
        """Verify that every stated type can be placed, counts as an order and is signed. Others are refused here and
        not by the venue.
        """
        capabilities = self.venue.capabilities
        assert capabilities.types, "a venue that trades takes some type of order"
        assert capabilities.times_in_force, "an order has a time in force"
        for kind in OrderType:
            if kind in capabilities.types:
                in_force = TimeInForce.GTC if kind in capabilities.gtc_only else min(capabilities.times_in_force)
                unsigned = self._place(self._order_id(1), kind, in_force)
                assert unsigned.signed or unsigned.transport is not Transport.REST, f"{kind} is not signed"
                assert unsigned.orders >= 1, f"{kind} counts as no order"
                continue
            try:
                self._place(self._order_id(1), kind, min(capabilities.times_in_force))
            except (AssertionError, LookupError, ValueError):
                continue
            raise AssertionError(f"{kind} is no capability, and can be placed")

    def check_account_fill_cursors_are_ordered(self) -> None:
        """Verify that the start precedes every fill, pages ascend, and recording keeps a cursor."""
        cursors = self.venue.fill_cursor
        pages = [event for event in self._answered() if isinstance(event, FillsReport)]
        assert any(page.fills for page in pages), "answers.json has no page of fills"
        for page in pages:
            places = [cursors.cursor(fill) for fill in page.fills]
            assert sorted(places, key=cursors.key) == places, "a page does not ascend"
            for place, fill in zip(places, page.fills, strict=True):
                assert cursors.key(cursors.start) < cursors.key(place), place
                assert cursors.key(cursors.before(place)) < cursors.key(place), place
                assert str(recorded_cursor(place)) == place, place
                assert cursors.cursor_by_id(fill.fill_id) in (None, place), "id and fill have two places"
                assert self.venue.account.fills_after(self.report.instruments[0], place).signed, place

    # ---- decoders

    def _answer_to(self, case: dict[str, Any], payload: bytes) -> tuple[Event, ...]:
        unsigned = next(unsigned for name, unsigned in self.calls() if name == case["call"])
        instrument = self.report.instruments[0].id if case["call"] not in ACCOUNT_CALLS else ""
        return self.venue.decode_answer(unsigned, instrument, case.get("status", 200), case.get("headers", {}), payload)

    def _answered(self) -> Iterator[Event]:
        for case in read_cases(self._vectors, "answers"):
            yield from self._answer_to(case, case["payload"].encode())

    def check_market_messages_decode_as_recorded(self) -> None:
        """Verify that the vectors give the rows and events that they state, one by one and many at once."""
        for case in read_cases(self._vectors, "market"):
            payload, source = case["payload"].encode(), self._market_source()
            decoded = self.venue.market.decode(payload, source, 7, NOW_NS)
            if isinstance(decoded, RowsAndEvents):
                compare_events(decoded.events, case.get("events", []), payload)
                self._compare_rows(decoded.rows, case.get("rows"), payload)
                continue
            if "rows" not in case:
                assert isinstance(decoded, tuple), f"rows, where events are stated: {payload[:200]!r}"
                compare_events(decoded, case["events"], payload)
                continue
            assert isinstance(decoded, np.ndarray), f"{decoded} from {payload[:200]!r}"
            self._compare_rows(decoded, case["rows"], payload)
            many = self.venue.market.decode_many([payload, payload], np.array([7, 8]), np.array([NOW_NS, NOW_NS]))
            assert many is not None, f"not decoded among many: {payload[:200]!r}"
            assert many[0][: many[1][0]].tolist() == decoded.tolist(), "decoded differently among many"

    def _compare_rows(self, decoded: Rows, stated: list[list[int]] | None, payload: bytes) -> None:
        assert set(decoded[:, SEQ]) == {7}, "rows of another record"
        assert set(decoded[:, TIME_NS]) == {NOW_NS}, "rows of another time"
        assert decoded[-1, LAST] == 1, "no last row"
        assert decoded[:, LAST].sum() == 1, "several last rows"
        assert decoded[:, INSTRUMENT].max() < len(self.report.instruments), "an instrument that is not there"
        told = [[row[0], row[1], row[4], *row[6:]] for row in decoded.tolist()]
        assert told == stated, f"{payload[:200]!r} gives {told}"

    def check_account_messages_decode_as_recorded(self) -> None:
        """Verify that frames of a private link give the events stated, and records can hold them."""
        for case in read_cases(self._vectors, "private"):
            payload = case["payload"].encode()
            events = self.venue.account.decode_private(payload)
            compare_events(events, case["events"], payload)
            assert events == self.venue.account.decode_private(payload), "a decoder with a memory"
            self.venue.account.answered_request(payload)

    def check_answers_decode_as_recorded(self) -> None:
        """Verify that an answer gives one Answer, first, and then what it reports."""
        for case in read_cases(self._vectors, "answers"):
            payload = case["payload"].encode()
            events = self._answer_to(case, payload)
            only_answer(events, payload)
            compare_events(events, case["events"], payload)

    def check_decoders_are_total(self) -> None:
        """Verify that decoders return for any bytes and never raise."""
        market = self.venue.market
        for payload in self._mutated("market"):
            for decoded in (
                market.decode(payload, self._market_source(), 7, NOW_NS),
                market.decode_snapshot(payload, self.report.instruments[0].id, 7, NOW_NS),
            ):
                table = decoded.rows if isinstance(decoded, RowsAndEvents) else decoded
                assert isinstance(table, tuple) or (table.ndim == 2 and table.shape[1] == COLUMNS), payload
            market.decode_many([payload, payload], np.array([7, 8]), np.array([NOW_NS, NOW_NS]))
            market.is_snapshot(payload)
        of = self.report.instruments[0]
        streams = [PolledStream(of.id, poll.stream.name.lower(), 1) for poll in polls_of(self.venue, of)]
        for case in read_cases(self._vectors, "answers"):
            for payload in mutations(case["payload"].encode(), self._random):
                only_answer(self._answer_to(case, payload), payload)
                for stream in streams:
                    rows = decode_polled(self.venue, stream.key, payload, 7, NOW_NS)
                    assert rows.ndim == 2, payload
                    assert rows.shape[1] == COLUMNS, payload
        if self.venue.trades:
            for payload in self._mutated("private"):
                events = self.venue.account.decode_private(payload)
                assert isinstance(events, tuple), payload
                self.venue.account.answered_request(payload)

    def check_account_failures_of_the_server_prove_nothing(self) -> None:
        """Verify that a status 5xx, with any body, leaves a placement UNKNOWN: neither placed nor refused."""
        for payload in (b"", b"<html>bad gateway</html>", b"{}", b"[]", b"null"):
            for status in (500, 502, 503, 504):
                answer = only_answer(self._answer_to({"call": "place", "status": status}, payload), payload)
                assert answer.outcome in (Outcome.UNKNOWN, Outcome.RATE_LIMITED), f"{status} {payload!r}: {answer}"
        answer = only_answer(self._answer_to({"call": "place"}, b"<html>ok</html>"), b"<html>ok</html>")
        assert answer.outcome is Outcome.UNKNOWN, f"an answer that cannot be read: {answer}"

    def check_account_reports_name_our_orders(self) -> None:
        """Verify that a report names the order by the client's id, by the venue's, or by both."""
        reports = [event for event in self._answered() if isinstance(event, OrderReport)]
        assert all(report.client_order_id or report.venue_order_id for report in reports), reports

    def _market_source(self) -> str:
        return next(plan.source for plan in self.venue.links() if plan.role is LinkRole.MARKET)

    def _mutated(self, name: str) -> Iterator[bytes]:
        for case in read_cases(self._vectors, name):
            yield from mutations(case["payload"].encode(), self._random)
