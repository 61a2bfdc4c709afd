"""Answers to our calls of Binance's futures, read into events. Total: no bytes raise.

An answer begins with exactly one Answer, which says what it proves; the reports follow.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from engine.events import (
    AccountReport,
    Event,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    PositionModeReport,
    PositionsReport,
)
from engine.requests import Unsigned
from engine.venues.binance_common.http_answers import RefusalTable, read_answer, read_nothing
from engine.venues.binance_futures import error_codes, shapes

REFUSALS: Final = RefusalTable(error_codes.classify, error_codes.is_instrument_rule, error_codes.is_temporary)

Reader = Callable[[bytes, str, Unsigned], tuple[Event, ...]]


class AccountAnswers:
    """The answers to the calls of one futures market, about an instrument or the account."""

    def __init__(self, venue: str, prefix: str, account_prefix: str) -> None:
        self._venue = venue
        self._prefixes = tuple({f"{prefix}/", f"{account_prefix}/"})
        self._readers: dict[tuple[str, str], Reader] = {
            ("POST", "order"): self._order,
            ("GET", "order"): self._order,
            ("DELETE", "order"): self._order,
            ("POST", "algoOrder"): self._held,
            ("GET", "algoOrder"): self._held,
            ("DELETE", "algoOrder"): _nothing,  # it names the order without a status: the order is queried
            ("DELETE", "allOpenOrders"): _nothing,
            ("DELETE", "algoOpenOrders"): _nothing,
            ("GET", "openOrders"): self._open_orders,
            ("GET", "openAlgoOrders"): self._open_held,
            ("GET", "userTrades"): self._fills,
            ("GET", "balance"): _balances,
            ("GET", "positionRisk"): self._positions,
            ("GET", "income"): self._fundings,
            ("GET", "positionSide/dual"): _position_mode,
            ("GET", "symbolConfig"): self._settings,
            ("POST", "leverage"): self._leverage,
            ("POST", "marginType"): _nothing,
            ("POST", "countdownCancelAll"): _nothing,
            ("PUT", "listenKey"): _nothing,
        }

    def reads(self, unsigned: Unsigned) -> bool:
        """Return True if a request is one of the account's."""
        return (unsigned.method, self._name(unsigned)) in self._readers

    def decode(
        self, unsigned: Unsigned, instrument: str, status: int, headers: Mapping[str, str], payload: bytes
    ) -> tuple[Event, ...]:
        """Return what the answer to a call of the account proves, then what it reports."""
        read = self._readers[unsigned.method, self._name(unsigned)]
        return read_answer(
            unsigned.method,
            unsigned.path,
            status,
            headers,
            payload,
            read=lambda body: read(body, instrument, unsigned),
            refusals=REFUSALS,
        )

    def _name(self, unsigned: Unsigned) -> str:
        path = unsigned.path.partition("?")[0]
        return next((path.removeprefix(prefix) for prefix in self._prefixes if path.startswith(prefix)), path)

    def _order(self, payload: bytes, instrument: str, _: Unsigned) -> tuple[Event, ...]:
        return (_about(instrument, _read_order(payload).report(self._venue)),)

    def _held(self, payload: bytes, instrument: str, _: Unsigned) -> tuple[Event, ...]:
        return (_about(instrument, _read_held(payload).report(self._venue)),)

    def _open_orders(self, payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
        # one order that cannot be read spoils the list: it claims to be whole, and what it lacks counts as closed
        orders = msgspec.json.decode(payload, type=tuple[shapes.MarketOrder, ...])
        return (OpenOrdersReport(tuple(order.report(self._venue) for order in orders), are_held=False),)

    def _open_held(self, payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
        orders = msgspec.json.decode(payload, type=tuple[shapes.ConditionalOrder, ...])
        return (OpenOrdersReport(tuple(order.report(self._venue) for order in orders), are_held=True),)

    def _fills(self, payload: bytes, instrument: str, unsigned: Unsigned) -> tuple[Event, ...]:
        trades = msgspec.json.decode(payload, type=tuple[shapes.UserTrade, ...])
        fills = tuple(trade.fill(self._venue) for trade in sorted(trades, key=lambda trade: trade.id))
        for fill in fills:
            _same(instrument, fill.instrument)
        return (FillsReport(instrument, fills, whole=len(fills) < int(dict(unsigned.params)["limit"])),)

    def _positions(self, payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
        rows = msgspec.json.decode(payload, type=tuple[shapes.PositionAnswer, ...])
        return (PositionsReport(tuple(row.report(self._venue) for row in rows)),)

    def _fundings(self, payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
        rows = msgspec.json.decode(payload, type=tuple[shapes.IncomeAnswer, ...])
        return tuple(row.funding(self._venue) for row in sorted(rows, key=lambda row: row.time))

    def _settings(self, payload: bytes, instrument: str, _: Unsigned) -> tuple[Event, ...]:
        rows = msgspec.json.decode(payload, type=tuple[shapes.SymbolConfig, ...])
        found = tuple(row.settings(self._venue) for row in rows)
        return tuple(each for each in found if instrument in ("", each.instrument))

    def _leverage(self, payload: bytes, instrument: str, _: Unsigned) -> tuple[Event, ...]:
        settings = msgspec.json.decode(payload, type=shapes.LeverageAnswer).settings(self._venue)
        _same(instrument, settings.instrument)
        return (settings,)


_read_order = msgspec.json.Decoder(shapes.MarketOrder).decode
_read_held = msgspec.json.Decoder(shapes.ConditionalOrder).decode


def _same(asked: str, stated: str) -> None:
    if asked and asked != stated:
        raise ValueError(f"asked about {asked}, told about {stated}")


def _about(instrument: str, report: OrderReport) -> OrderReport:
    _same(instrument, report.instrument)
    return report


def _nothing(payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
    return read_nothing(payload)


def _balances(payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
    """Return the wallets. The answer states no date, and not whether the account may trade."""
    rows = msgspec.json.decode(payload, type=tuple[shapes.WalletAnswer, ...])
    return (AccountReport(tuple(row.report() for row in rows), can_trade=True),)


def _position_mode(payload: bytes, _: str, __: Unsigned) -> tuple[Event, ...]:
    return (PositionModeReport(msgspec.json.decode(payload, type=shapes.DualSide).dual_side_position),)
