"""Refusals that only USD-M futures have, with Binance's codes and texts (error-code.md of 2026-05-28).

Codes that mean the same on Spot are in engine/sim/binance/refusals.py. -2021 and -2022 mean other things there.
"""

from engine.sim.binance.refusals import VenueRefusalError


def _bad(code: int, message: str) -> VenueRefusalError:
    return VenueRefusalError(400, code, message)


def margin_insufficient() -> VenueRefusalError:
    """Return the refusal of an order for which the available balance is too small."""
    return _bad(-2019, "Margin is insufficient.")


def would_trigger() -> VenueRefusalError:
    """Return the refusal of a conditional order on the wrong side of the market."""
    return _bad(-2021, "Order would immediately trigger.")


def reduce_only_rejected() -> VenueRefusalError:
    """Return the refusal of a reduce-only order without a position to reduce."""
    return _bad(-2022, "ReduceOnly Order is rejected.")


def too_many_open_orders() -> VenueRefusalError:
    """Return the refusal of an order over the limit of open orders."""
    return _bad(-2025, "Reach max open order limit.")


def position_over_leverage() -> VenueRefusalError:
    """Return the refusal of an order whose position would be too large at the leverage."""
    return _bad(-2027, "Exceeded the maximum allowable position at current leverage.")


def leverage_over_position() -> VenueRefusalError:
    """Return the refusal of a leverage at which the position would be too large, or the margin too small."""
    return _bad(-2028, "Leverage is smaller than permitted: insufficient margin balance.")


def quantity_not_positive() -> VenueRefusalError:
    """Return the refusal of a quantity of zero or less."""
    return _bad(-4003, "Quantity less than or equal to zero.")


def quantity_too_low() -> VenueRefusalError:
    """Return the refusal of a quantity below the minimum."""
    return _bad(-4004, "Quantity less than min quantity.")


def quantity_too_high() -> VenueRefusalError:
    """Return the refusal of a quantity above the maximum."""
    return _bad(-4005, "Quantity greater than max quantity.")


def price_too_high() -> VenueRefusalError:
    """Return the refusal of a price above the maximum."""
    return _bad(-4002, "Price greater than max price.")


def price_too_low() -> VenueRefusalError:
    """Return the refusal of a price below the minimum."""
    return _bad(-4013, "Price less than min price.")


def price_off_tick() -> VenueRefusalError:
    """Return the refusal of a price between two ticks."""
    return _bad(-4014, "Price not increased by tick size.")


def client_id_too_long() -> VenueRefusalError:
    """Return the refusal of a client order id of more than 36 characters."""
    return _bad(-4015, "Client order id length should be less than 36 chars")


def price_over_cap(limit: str) -> VenueRefusalError:
    """Return the refusal of a buy too far above the mark price."""
    return _bad(-4016, f"Limit price can't be higher than {limit}.")


def quantity_off_step() -> VenueRefusalError:
    """Return the refusal of a quantity between two steps."""
    return _bad(-4023, "Quantity not increased by step size.")


def price_under_floor(limit: str) -> VenueRefusalError:
    """Return the refusal of a sale too far below the mark price."""
    return _bad(-4024, f"Limit price can't be lower than {limit}.")


def too_many_conditional_orders() -> VenueRefusalError:
    """Return the refusal of a conditional order over the account's limit."""
    return _bad(-4045, "Reach max stop order limit.")


def margin_type_unchanged() -> VenueRefusalError:
    """Return the refusal of a margin type that the symbol has."""
    return _bad(-4046, "No need to change margin type.")


def margin_type_with_orders() -> VenueRefusalError:
    """Return the refusal of another margin type while orders are open."""
    return _bad(-4047, "Margin type cannot be changed if there exists open orders.")


def margin_type_with_position() -> VenueRefusalError:
    """Return the refusal of another margin type while a position is open."""
    return _bad(-4048, "Margin type cannot be changed if there exists position.")


def margin_needs_isolated() -> VenueRefusalError:
    """Return the refusal of margin for a position whose margin is not isolated."""
    return _bad(-4046, "Add margin only support for isolated position.")


def margin_not_available() -> VenueRefusalError:
    """Return the refusal of an amount of margin that is not available."""
    return _bad(-4051, "Isolated balance insufficient.")


def cross_not_available() -> VenueRefusalError:
    """Return the refusal of margin that the cross wallet does not have available."""
    return _bad(-4050, "Cross balance insufficient.")


def mode_unchanged() -> VenueRefusalError:
    """Return the refusal of a position mode that the account has."""
    return _bad(-4059, "No need to change position side.")


def invalid_position_side() -> VenueRefusalError:
    """Return the refusal of an unknown position side."""
    return _bad(-4060, "Invalid position side.")


def side_against_mode() -> VenueRefusalError:
    """Return the refusal of a position side that the account's mode does not have."""
    return _bad(-4061, "Order's position side does not match user's setting.")


def mode_with_orders() -> VenueRefusalError:
    """Return the refusal of another position mode while orders are open."""
    return _bad(-4067, "Position side cannot be changed if there exists open orders.")


def mode_with_positions() -> VenueRefusalError:
    """Return the refusal of another position mode while positions are open."""
    return _bad(-4068, "Position side cannot be changed if there exists position.")


def multi_assets_unchanged() -> VenueRefusalError:
    """Return the refusal of a multi-assets mode that the account has."""
    return _bad(-4171, "No need to change multi-assets mode.")


def batch_too_long() -> VenueRefusalError:
    """Return the refusal of a batch of too many orders."""
    return _bad(-4082, "Invalid number of batch place orders.")


def close_position_with(name: str) -> VenueRefusalError:
    """Return the refusal of closePosition together with a quantity or reduceOnly."""
    return _bad(-4137 if name == "quantity" else -4138, "Quantity must be zero with closePosition equals true."
                if name == "quantity" else "Reduce only must be true with closePosition.")  # fmt: skip


def close_position_needs_stop() -> VenueRefusalError:
    """Return the refusal of closePosition on an order that is no conditional market order."""
    return _bad(-4136, "Target strategy invalid for orderType. Not available for order type with closePosition.")


def market_without_counterparty() -> VenueRefusalError:
    """Return the refusal of a market order for which the book has no price near the mark price."""
    return _bad(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.")


def too_small() -> VenueRefusalError:
    """Return the refusal of an order under the smallest notional. Reduce-only orders are exempt."""
    return _bad(-4164, "Order's notional must be no smaller than the minimum (unless you choose reduce only).")


def duplicate_client_id() -> VenueRefusalError:
    """Return the refusal of a client order id that an open order has."""
    return _bad(-4116, "ClientOrderId is duplicated.")


def use_algo_endpoint() -> VenueRefusalError:
    """Return the refusal of a conditional order at the endpoint of plain orders."""
    return _bad(-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.")


def invalid_leverage() -> VenueRefusalError:
    """Return the refusal of a leverage that the symbol does not have."""
    return _bad(-4028, "Leverage is not valid.")


def symbol_closed() -> VenueRefusalError:
    """Return the refusal of an order of a symbol that does not trade."""
    return _bad(-4140, "Invalid symbol status for opening position.")


def fill_or_kill_rejected() -> VenueRefusalError:
    """Return the refusal of a FOK order that the book cannot fill."""
    return _bad(-5021, "Due to the order could not be filled immediately, the FOK order has been rejected.")


def post_only_rejected() -> VenueRefusalError:
    """Return the refusal of a GTX order that would take."""
    return _bad(-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected.")


def modify_limit_only() -> VenueRefusalError:
    """Return the refusal of a change of an order that is no limit order."""
    return _bad(-4142, "Only limit order can be modified.")


def modify_unchanged() -> VenueRefusalError:
    """Return the refusal of a change that changes nothing."""
    return _bad(-5027, "No need to modify the order.")


def good_till_date_too_near() -> VenueRefusalError:
    """Return the refusal of a GTD order that would end too soon."""
    return _bad(-5040, "The goodTillDate timestamp must be greater than the current time plus 600 seconds.")


def good_till_date_missing() -> VenueRefusalError:
    """Return the refusal of a GTD order without goodTillDate."""
    return _bad(-1102, "Mandatory parameter 'goodTillDate' was not sent, was empty/null, or malformed.")


def price_match_conflict() -> VenueRefusalError:
    """Return the refusal of priceMatch together with a price."""
    return _bad(-5038, "Price and priceMatch only one can be sent.")


def no_listen_key() -> VenueRefusalError:
    """Return the refusal of an unknown or expired listen key."""
    return _bad(-1125, "This listenKey does not exist.")


def no_such_algo() -> VenueRefusalError:
    """Return the refusal of a query for an unknown conditional order."""
    return _bad(-2013, "Order does not exist.")


def window_too_long(days: int) -> VenueRefusalError:
    """Return the refusal of a time range longer than allowed."""
    return _bad(-4165, f"Invalid time interval, maximum time interval is {days} days")


def is_disabled() -> VenueRefusalError:
    """Return the refusal of an order of an account that may not trade."""
    return _bad(-4087, "ReduceOnly order permission only: this account may not open positions.")
