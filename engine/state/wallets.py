"""Wallets and net positions of contracts, as the venue counts them: for each asset the wallet by our records.

Our number is the wallet as first reported, plus the realised P&L of every fill less its fees, plus fundings and
transfers. The venue nets all strategies of an account, so the realised P&L of a wallet is that of the net position, by
average cost. engine/state/pnl_lines.py has the P&L of each strategy; the arithmetic of both is engine/lots.py.

The venue reports wallet and position right before the fill that changed them, with the fill's own time (Binance USD-M
API, user data streams). So a first report may contain the next fill of its time.
"""

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from engine import contracts
from engine.facts import CashReason, ContractReported, OrderFilled, WalletReported
from engine.lots import CostMethod, Lots, opened_at, trade
from engine.model import Instrument, PositionSide
from engine.money import ZERO
from engine.state.account_keys import asset_key
from engine.state.changes import Change, Stamp


class Wallet(msgspec.Struct, frozen=True):
    """One asset."""

    opening: Decimal
    expected: Decimal  # by our records
    reported: Decimal  # by the venue, newest
    reported_ns: int
    fills: int = 0  # since the opening: the venue may round each
    contains_ns: int = 0  # time of a fill that the opening contains and that is not recorded yet; 0: none

    @property
    def difference(self) -> Decimal:
        """The venue's wallet less our number."""
        return self.reported - self.expected


class NetContract(msgspec.Struct, frozen=True):
    """The net position of all strategies in one contract."""

    lots: Lots = ()
    realised: Decimal = ZERO  # since the opening, before fees
    reported: Decimal = ZERO  # signed quantity by the venue, newest
    reported_entry: Decimal = ZERO
    reported_ns: int = 0  # venue time of the newest report; 0: none
    contains_ns: int = 0  # as in Wallet


class Wallets(msgspec.Struct, frozen=True):
    """All assets and contracts that the venue has reported."""

    by_asset: dict[str, Wallet] = {}  # by account_keys.asset_key
    by_instrument: dict[str, NetContract] = {}  # position_key -> position


def position_key(instrument: str, side: PositionSide) -> str:
    """Return the key of a position: an instrument has two in hedge mode."""
    return instrument if side is PositionSide.BOTH else f"{instrument} {side}"


def instrument_of(key: str) -> str:
    """Return the instrument of a position's key."""
    return key.partition(" ")[0]


def realised_by(wallets: Wallets, fill: OrderFilled, instrument: Instrument) -> Decimal:
    """Return the P&L that a fill realises of the account's position, before its fee: average cost, as venues count."""
    held = wallets.by_instrument.get(position_key(fill.instrument, fill.position_side), NetContract())
    signed = fill.quantity * fill.side.sign
    return trade(held.lots, instrument, signed, fill.price, CostMethod.AVERAGE)[1]


def reduce(
    wallets: Wallets, change: Change, at: Stamp, instruments: dict[str, Instrument], *, has_accounts: bool = False
) -> Wallets:
    """Fold what the venue reports of wallets and positions, and fills of contracts."""
    match change:
        case WalletReported():
            key = asset_key(change.venue, change.asset)
            return _put(wallets, key, _wallet_after(wallets.by_asset.get(key), change))
        case ContractReported() if change.instrument in instruments:
            key = position_key(change.instrument, change.position_side)
            contract = _contract_after(wallets.by_instrument.get(key), change, instruments[change.instrument])
            return replace(wallets, by_instrument={**wallets.by_instrument, key: contract})
        case OrderFilled() if change.instrument in instruments and instruments[change.instrument].contract:
            instrument = instruments[change.instrument]
            return _filled(wallets, change, instrument, instrument.venue if has_accounts else "")
        case _:
            return wallets


def _wallet_after(known: Wallet | None, report: WalletReported) -> Wallet:
    contains_ns = report.venue_ns if report.reason is CashReason.ORDER else 0
    if known is None:
        return Wallet(report.wallet, report.wallet, report.wallet, report.venue_ns, contains_ns=contains_ns)
    moved = ZERO if report.reason is CashReason.ORDER else report.change
    return replace(known, expected=known.expected + moved, reported=report.wallet, reported_ns=report.venue_ns)


def _contract_after(known: NetContract | None, report: ContractReported, instrument: Instrument) -> NetContract:
    if known is None:
        contains_ns = report.venue_ns if report.reason is CashReason.ORDER else 0
        opening = opened_at(instrument, report.quantity, report.entry_price)
        return NetContract(opening, ZERO, report.quantity, report.entry_price, report.venue_ns, contains_ns)
    return replace(known, reported=report.quantity, reported_entry=report.entry_price, reported_ns=report.venue_ns)


def _filled(wallets: Wallets, fill: OrderFilled, instrument: Instrument, venue: str) -> Wallets:
    key = position_key(fill.instrument, fill.position_side)
    held = wallets.by_instrument.get(key, NetContract())
    realised = ZERO
    if held.contains_ns and held.contains_ns == fill.venue_ns:
        held = replace(held, contains_ns=0)
    else:
        signed = fill.quantity * fill.side.sign
        lots, realised = trade(held.lots, instrument, signed, fill.price, CostMethod.AVERAGE)
        held = replace(held, lots=lots, realised=held.realised + realised, contains_ns=0)
    wallets = replace(wallets, by_instrument={**wallets.by_instrument, key: held})
    flows = {contracts.asset_of(instrument): realised}
    if fill.fee:
        flows[fill.fee_asset] = flows.get(fill.fee_asset, ZERO) - fill.fee
    for asset, amount in flows.items():
        key = asset_key(venue, asset)
        wallet = wallets.by_asset.get(key)
        if wallet is None:
            continue
        if wallet.contains_ns and wallet.contains_ns == fill.venue_ns:
            wallet = replace(wallet, contains_ns=0)
        else:
            wallet = replace(wallet, expected=wallet.expected + amount, fills=wallet.fills + 1, contains_ns=0)
        wallets = _put(wallets, key, wallet)
    return wallets


def _put(wallets: Wallets, key: str, wallet: Wallet) -> Wallets:
    return replace(wallets, by_asset={**wallets.by_asset, key: wallet})
