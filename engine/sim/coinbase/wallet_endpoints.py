"""Accounts, rights and fees over the simulated Coinbase's REST interface."""

from typing import Any

from engine.sim.binance.key_ring import SimKeyRights
from engine.sim.coinbase.request import Request
from engine.sim.units import plain

PAGE = 49  # usual page of accounts
PAGE_MAX = 250
FIAT = ("USD", "EUR", "GBP")


def accounts(request: Request) -> dict[str, Any]:
    """Return all wallets, also those that hold nothing."""
    funds = request.exchange.accounts[request.account]
    rows = [
        {
            "uuid": f"{request.account}-{asset}",
            "name": f"{asset} Wallet",
            "currency": asset,
            "available_balance": {"value": plain(free), "currency": asset},
            "default": True,
            "active": True,
            "created_at": "2024-01-01T00:00:00Z",
            "type": "ACCOUNT_TYPE_FIAT" if asset in FIAT else "ACCOUNT_TYPE_CRYPTO",
            "ready": True,
            "hold": {"value": plain(funds.locked.get(asset, 0)), "currency": asset},
            "retail_portfolio_id": request.account,
        }
        for asset, free in funds.free.items()
    ]
    page, following = request.page(rows, PAGE, PAGE_MAX)
    return {"accounts": page, "has_next": bool(following), "cursor": following, "size": len(page)}


def key_permissions(request: Request, rights: SimKeyRights) -> dict[str, Any]:
    """Return the rights of the key that signed, and its portfolio."""
    return {
        "can_view": True,
        "can_trade": rights.trades,
        "can_transfer": rights.withdraws,
        "portfolio_uuid": request.account,
        "portfolio_type": "DEFAULT",
    }


def transaction_summary(request: Request) -> dict[str, Any]:
    """Return the fee tier."""
    funds = request.exchange.accounts[request.account]
    return {
        "total_volume": float(plain(funds.traded)),
        "total_fees": 0,
        "fee_tier": {
            "pricing_tier": "",
            "usd_from": "0",
            "usd_to": "",
            "taker_fee_rate": plain(funds.rate(maker=False)),
            "maker_fee_rate": plain(funds.rate(maker=True)),
        },
        "margin_rate": None,
        "goods_and_services_tax": None,
    }
