"""The paths of USD-M futures that this venue does not have: it refuses them by name."""

from typing import Final

_PATHS: Final = """
continuousKlines indexPriceKlines markPriceKlines premiumIndexKlines openInterest indexInfo assetIndex constituents
insuranceBalance rpiDepth tradingSchedule symbolAdlRisk apiTradingStatus apiReferral/ifNewUser
income/asyn income/asyn/id order/asyn order/asyn/id trade/asyn trade/asyn/id convert/exchangeInfo convert/getQuote
convert/acceptQuote convert/orderStatus pmAccountInfo
"""
UNBUILT: Final = frozenset(f"/fapi/v1/{path}" for path in _PATHS.split())
