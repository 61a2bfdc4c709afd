"""Answers to calls through ccxt, read into events. Total: no bytes raise. Without a memory."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.events import Answer, Event, Outcome, ServerTime, Unrecognised
from engine.model import Instrument
from engine.requests import Unsigned
from engine.venues.ccxt.account import FILLS_PAGE_MAX
from engine.venues.ccxt.exact_numbers import nanoseconds
from engine.venues.ccxt.exchange_rules import CLIENT_ID, ExchangeRules
from engine.venues.ccxt.markets import read_markets
from engine.venues.ccxt.outcomes import answer_of
from engine.venues.ccxt.pure_calls import EMPTY, AnswerAcceptedError, GivenAnswer, RequestNeededError, failures, perform
from engine.venues.ccxt.reports import (
    OF_BALANCES,
    ReportOrigin,
    account_report,
    fills,
    instrument_id,
    open_orders,
    order_report,
)
from engine.venues.ccxt.unified_calls import PART, PARTS_MAX, call_name, call_of

TEXT_MAX: Final = 200
MARKET_CALLS: Final = frozenset({"fetch_order_book", "fetch_trades", "fetch_ticker", "fetch_bids_asks", "fetch_ohlcv"})


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event for bytes that could not be read."""
    return Unrecognised(where[:TEXT_MAX], " ".join(f"{type(error).__name__}: {error}".split())[:TEXT_MAX])


class CcxtAnswers:
    """Reads the answers of one exchange."""

    def __init__(
        self, exchange: Any, public: Any, venue: str, instruments: Sequence[Instrument], rules: ExchangeRules
    ) -> None:
        """Use an exchange of `make_exchange`.

        Args:
            exchange: With the markets of the instruments, and credentials of any kind.
            public: Without credentials: with them, some describe more than the markets.
            venue: The venue's name.
            instruments: Of the session.
            rules: Of the exchange.

        """
        self._exchange = exchange
        self._public = public
        self._origin = ReportOrigin(venue, instruments, rules.account.prefix if rules.account else "")
        self._place_by = rules.account.place_by if rules.account else CLIENT_ID
        self._main_part = str(rules.main_part)

    def result(
        self, unsigned: Unsigned, payload: bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Return what ccxt makes of an answer. Raises one of `failures` or RequestNeededError."""
        answers = [GivenAnswer(status, headers or {}, payload)]
        if (part := dict(unsigned.params).get(PART)) is not None:
            answers = [*(EMPTY,) * int(part), *answers, *(EMPTY,) * PARTS_MAX]
        exchange = self._exchange if unsigned.signed else self._public
        found = perform(exchange, call_of(unsigned), answers=answers)
        if _is_nothing(call_name(unsigned), found) and not _states_nothing(msgspec.json.decode(payload)):
            raise ValueError("the answer lacks the requested content")
        return found

    def read(
        self, unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what an answer proves, then what it reports."""
        name = call_name(unsigned)
        where = f"answer to {name}"
        if status >= 500:
            text = " ".join(payload[: 2 * TEXT_MAX].decode("utf-8", "replace").split())
            return (Answer(Outcome.UNKNOWN, text=f"HTTP {status} {text}"[:TEXT_MAX]),)
        try:
            if name in MARKET_CALLS:  # `decode_poll` and the history read it
                given = GivenAnswer(status, headers, payload)
                perform(self._public, call_of(unsigned), answers=(given,), stops=True)
            found = self.result(unsigned, payload, status, headers)
        except AnswerAcceptedError:
            return (Answer(Outcome.DONE),)
        except RequestNeededError as needed:
            return Answer(Outcome.UNKNOWN), Unrecognised(where, f"the exchange also needs {needed}"[:TEXT_MAX])
        except failures() as error:
            answer = answer_of(error, name, status, headers)
            return (answer, unrecognised(where, error)) if answer.outcome is Outcome.UNKNOWN else (answer,)
        try:
            return (Answer(Outcome.DONE), *self._reports(name, unsigned, instrument, found))
        except failures() as error:
            return Answer(Outcome.UNKNOWN), unrecognised(where, error)

    def _reports(self, name: str, unsigned: Unsigned, instrument: str, found: Any) -> tuple[Event, ...]:
        """Return the reports of a success. Raises one of `failures` for unreadable content."""
        origin, known = self._origin, dict(unsigned.params)
        since_ms = int(known.get("since", "0"))
        match name:
            case "fetch_markets" if known.get(PART, self._main_part) != self._main_part:
                return ()  # only all parts together are read
            case "fetch_markets":
                return (read_markets(self._public, origin.venue, found),)
            case "fetch_time":
                return (ServerTime(nanoseconds(found)),)
            case "create_order":
                report = order_report(origin, found, {**known, CLIENT_ID: known[self._place_by]})
                if not report.venue_order_id and not found.get(CLIENT_ID):
                    raise ValueError("the answer names no order")
                return (report,)
            case "fetch_order":
                report = order_report(origin, found, {"symbol": known["symbol"]})
                if instrument_id(origin, known["symbol"]) != report.instrument:
                    raise ValueError(f"{known['symbol']} was requested, and {report.instrument} answered")
                return (report,)
            case "cancel_order":
                return self._canceled(found, known)
            case "fetch_open_orders":
                return (open_orders(origin, found),)
            case "fetch_my_trades":
                return (fills(origin, found, instrument, FILLS_PAGE_MAX, since_ms),)
            case "fetch_order_trades":
                of_order = [trade for trade in found if trade.get("order") in (None, known["id"])]
                named = [{**trade, "order": known["id"]} for trade in of_order]
                return (fills(origin, named, instrument, FILLS_PAGE_MAX, since_ms),)
            case "fetch_balance":
                return (account_report(found),)
            case _:
                return ()  # cancel_all_orders

    def _canceled(self, found: Any, known: Mapping[str, str]) -> tuple[Event, ...]:
        """Return the report of a canceled order, if the answer states one: many only repeat its id."""
        order = found[0] if isinstance(found, list) and found else found
        stated = ("status", "side", "type", "amount", "filled")
        if not isinstance(order, dict) or any(order.get(name) is None for name in stated):
            return ()
        return (order_report(self._origin, order, {"symbol": known["symbol"]}),)


def _is_nothing(call: str, found: Any) -> bool:
    """Return True for an empty list, account or book. ccxt also returns that for a body that lacks one."""
    if call == "fetch_balance":
        return not any(isinstance(held, dict) and name not in OF_BALANCES for name, held in found.items())
    if call == "fetch_order_book":
        return not found["bids"] and not found["asks"]
    return call != "fetch_markets" and isinstance(found, list | dict) and not found


def _states_nothing(said: Any, *, is_part: bool = False) -> bool:
    """Return True if the exchange itself states that something is empty: a list, or a member without content."""
    if isinstance(said, dict):
        return (is_part and not said) or any(_states_nothing(part, is_part=True) for part in said.values())
    if isinstance(said, list):
        return not said or any(_states_nothing(part, is_part=True) for part in said)
    return is_part and said is None
