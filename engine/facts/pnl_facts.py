"""Facts about profit and loss: fundings, wallets and positions of contracts, P&L of all strategies, books compared."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.model import PositionSide


class CashReason(StrEnum):
    """Reasons why a wallet or a position of contracts changed."""

    ORDER = "order"  # a fill
    FUNDING = "funding"
    TRANSFER = "transfer"  # a deposit or withdrawal
    OTHER = "other"
    LIQUIDATION_FEE = "liquidation_fee"  # of the venue's insurance fund (accounting 6)
    MOVE = "move"  # of the account's own between wallets, assets or margin modes: no trade (accounting 6)
    FEE = "fee"  # of fills that do not state it


class FundingPaid(msgspec.Struct, frozen=True, tag_field="fact", tag="funding_paid"):
    """A funding was settled: a strategy's share of it."""

    strategy: str
    instrument: str
    asset: str
    amount: Decimal  # received; negative: paid
    quantity: Decimal  # that was held
    venue_ns: int
    rate: Decimal = Decimal(0)  # of the funding; 0: the venue stated the amount alone
    mark: Decimal = Decimal(0)  # price that valued the quantity
    report_rate: Decimal = Decimal(0)  # of the asset in the reporting currency; 0: the same asset, or not known


class WalletReported(msgspec.Struct, frozen=True, tag_field="fact", tag="wallet"):
    """A wallet of a venue of contracts, as the venue reports it."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    asset: str
    wallet: Decimal
    change: Decimal  # what neither the P&L nor the fee of a fill explains
    reason: CashReason
    venue_ns: int
    venue: str = ""  # of the account; "": the session has one venue


class ContractReported(msgspec.Struct, frozen=True, tag_field="fact", tag="contract_position"):
    """The account's position in a contract, as the venue reports it."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"position_side"})

    instrument: str
    quantity: Decimal
    entry_price: Decimal
    reason: CashReason
    venue_ns: int
    position_side: PositionSide = PositionSide.BOTH


class PortfolioPnl(msgspec.Struct, frozen=True, tag_field="fact", tag="portfolio_pnl"):
    """The P&L of all strategies and the account's equity in the reporting currency."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"unrated"})

    currency: str
    mark: str  # engine.session_record.MarkChoice: the price at which open quantities count
    realised: Decimal  # before fees, at the rates of their moments
    unrealised: Decimal  # at the current rate
    fees: Decimal
    funding: Decimal
    equity: Decimal  # balances as the venue reports them, and unrealised P&L of contracts
    missing: tuple[str, ...] = ()  # assets without a rate and instruments without a mark: some sum lacks them
    unrated: dict[str, Decimal] = {}  # by asset: P&L that no sum contains, because its rate was not known

    @property
    def total(self) -> Decimal:
        """P&L after fees."""
        return self.realised + self.unrealised + self.funding - self.fees


class BooksCompared(msgspec.Struct, frozen=True, tag_field="fact", tag="books_compared"):
    """Equity and positions of an account at the end of its round, by our records and by the venue."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"by_asset", "venue"})

    round: int
    currency: str
    expected: Decimal  # equity by our records
    reported: Decimal  # by the venue, at the same rates
    drift: Decimal  # reported less expected
    limit: Decimal  # risk.equity_drift_max; 0: none
    positions: int  # that were compared with the sums of their fills
    missing: tuple[str, ...] = ()  # assets without a rate: both sums lack them
    wrong: tuple[str, ...] = ()  # positions that differ, in words
    is_settled: bool = True  # False: fills were missing or orders unknown, so equity was not compared
    by_asset: dict[str, Decimal] = {}  # reported less expected, of assets that differ; from accounting 4 on
    venue: str = ""  # of the account; "": the session has one venue


class AmountRated(msgspec.Struct, frozen=True, tag_field="fact", tag="amount_rated"):
    """The first known rate of an asset values P&L that had none when it was made."""

    strategy: str
    instrument: str
    asset: str
    amount: Decimal
    report_rate: Decimal  # of the asset in the reporting currency


class FeeCharged(msgspec.Struct, frozen=True, tag_field="fact", tag="fee_charged"):
    """The venue took a fee that no fill states: that of a liquidation, or one that only the balance shows."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"fee_rate"})

    strategy: str
    instrument: str
    asset: str
    amount: Decimal  # paid; negative: received
    reason: CashReason
    venue_ns: int
    # of the asset in the reporting currency, with a fee rate that of the quote asset; 0: the same asset, or not known
    report_rate: Decimal = Decimal(0)
    fee_rate: Decimal = Decimal(0)  # of base that fills lost, in quote: their average price; 0: another asset


PnlFact = FundingPaid | WalletReported | ContractReported | PortfolioPnl | BooksCompared | AmountRated | FeeCharged
