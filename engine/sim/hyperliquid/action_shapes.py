"""Actions of POST /exchange as typed shapes, and their canonical form, which is what the signature covers.

The venue reads an action and writes it again in its own order, numbers without zeros at their end. A client that
hashed anything else has signed another action, and another address is recovered.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

Number = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,20}(\.[0-9]{1,8})?\Z")]
Cloid = Annotated[str, msgspec.Meta(pattern=r"\A0x[0-9a-fA-F]{32}\Z")]
Index = Annotated[int, msgspec.Meta(ge=0, le=10**6)]
Oid = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
NUMBERS: Final = frozenset({"p", "s", "triggerPx"})


class Limit(msgspec.Struct, forbid_unknown_fields=True):
    """A limit order's time in force."""

    tif: Literal["Gtc", "Ioc", "Alo"]


class Trigger(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The trigger of an order."""

    is_market: bool
    trigger_px: Number
    tpsl: Literal["tp", "sl"]


class OrderKind(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One of both."""

    limit: Limit | None = None
    trigger: Trigger | None = None


class OrderWire(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An order: asset, is a buy, price, size, reduce-only, type, client id."""

    a: Index
    b: bool
    p: Number
    s: Number
    r: bool
    t: OrderKind
    c: Cloid | None = None


class Builder(msgspec.Struct, forbid_unknown_fields=True):
    """A builder's address and fee."""

    b: str
    f: int


class PlaceOrders(msgspec.Struct, tag="order", tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """New orders."""

    orders: list[OrderWire]
    grouping: Literal["na", "normalTpsl", "positionTpsl"]
    builder: Builder | None = None


class CancelWire(msgspec.Struct, forbid_unknown_fields=True):
    """A cancel by the venue's id."""

    a: Index
    o: Oid


class CancelOrders(msgspec.Struct, tag="cancel", tag_field="type", forbid_unknown_fields=True):
    """Cancels by the venue's ids."""

    cancels: list[CancelWire]


class CloidWire(msgspec.Struct, forbid_unknown_fields=True):
    """A cancel by the client's id."""

    asset: Index
    cloid: Cloid


class CancelByCloid(msgspec.Struct, tag="cancelByCloid", tag_field="type", forbid_unknown_fields=True):
    """Cancels by the client's ids."""

    cancels: list[CloidWire]


class Modify(msgspec.Struct, tag="modify", tag_field="type", forbid_unknown_fields=True):
    """A changed order in place of an open one."""

    oid: Oid | Cloid
    order: OrderWire


class ModifyWire(msgspec.Struct, forbid_unknown_fields=True):
    """One of several changes."""

    oid: Oid | Cloid
    order: OrderWire


class BatchModify(msgspec.Struct, tag="batchModify", tag_field="type", forbid_unknown_fields=True):
    """Several changed orders."""

    modifies: list[ModifyWire]


class ScheduleCancel(
    msgspec.Struct, tag="scheduleCancel", tag_field="type", forbid_unknown_fields=True, omit_defaults=True
):
    """The cancel of all orders at a time; without one, the end of that."""

    time: int | None = None


class UpdateLeverage(
    msgspec.Struct, tag="updateLeverage", tag_field="type", forbid_unknown_fields=True, rename="camel"
):
    """Leverage and margin mode of a coin."""

    asset: Index
    is_cross: bool
    leverage: int


class UpdateIsolatedMargin(
    msgspec.Struct, tag="updateIsolatedMargin", tag_field="type", forbid_unknown_fields=True, rename="camel"
):
    """Margin into an isolated position, in millionths of a dollar."""

    asset: Index
    is_buy: bool
    ntli: int


class Noop(msgspec.Struct, tag="noop", tag_field="type", forbid_unknown_fields=True):
    """Nothing: the nonce is used up."""


Action = (
    PlaceOrders
    | CancelOrders
    | CancelByCloid
    | Modify
    | BatchModify
    | ScheduleCancel
    | UpdateLeverage
    | UpdateIsolatedMargin
    | Noop
)


class Signature(msgspec.Struct):
    """A signature: r and s may lack zeros in front."""

    r: str
    s: str
    v: int


class SignedAction(msgspec.Struct, rename="camel"):
    """The body of POST /exchange."""

    action: Action
    nonce: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    signature: Signature
    vault_address: str | None = None
    expires_after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


def canonical(action: Action) -> Any:
    """Return an action as the venue writes it."""
    return _plain(msgspec.to_builtins(action))


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {each: _plain(inner, each) for each, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if name in NUMBERS and "." in value:
        return value.rstrip("0").rstrip(".")
    return value


def count_of(action: Action) -> int:
    """Return how many actions an address is charged for."""
    match action:
        case PlaceOrders():
            return max(len(action.orders), 1)
        case CancelOrders() | CancelByCloid():
            return max(len(action.cancels), 1)
        case BatchModify():
            return max(len(action.modifies), 1)
        case _:
            return 1
