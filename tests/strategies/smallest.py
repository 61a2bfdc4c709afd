"""A round trip of the smallest order: one far below the market is cancelled, then one is bought and sold again."""

from dataclasses import dataclass
from decimal import Decimal

from verbatim import Cancel, Close, Every, OrderType, Place, Side


class Smallest:
    version = "1"
    instruments = ("*",)
    cadence = Every(ms=200)

    @dataclass
    class Parameters:
        room: Decimal = Decimal(2)  # times the least notional: fees and moves of the price must fit
        far_percent: Decimal = Decimal(4)  # below the bid; venues refuse prices farther away

    @dataclass
    class State:
        cancelled: bool = False
        bought: bool = False
        is_done: bool = False

    @staticmethod
    def decide(view, state, parameters):
        quote, instrument, orders = view.quote("*"), view.instrument("*"), view.orders()
        if quote is None or state.is_done or any(not order.venue_order_id for order in orders):
            return
        if orders:
            if orders[0].order.price:
                state.cancelled = True
                yield Cancel(orders[0].client_order_id)
            return
        far = view.round_price("*", quote.bid * (1 - parameters.far_percent / 100), Side.BUY)
        least = max(instrument.quantity_min, instrument.notional_min * parameters.room / far)
        size = view.round_quantity("*", least + instrument.lot_size)
        held = view.position("*").quantity
        if not state.cancelled:
            yield Place("*", Side.BUY, size, far)
        elif held >= instrument.lot_size:
            state.bought = True
            yield Close("*")
        elif state.bought:
            state.is_done = True  # less than a lot may be left: a fee that was taken in coins
        else:
            yield Place("*", Side.BUY, size, type=OrderType.MARKET)
