"""Choices of a caller: kinds, sources, instruments, numbers. Each is checked: a mistake is an error, no empty table."""

from collections.abc import Collection, Iterable, Sequence

from engine.lots import CostMethod
from engine.suggestions import suggestion
from journal.reader import Journal
from journal.record import Kind


class UnknownInstrumentError(LookupError):
    """No open session has an instrument of this name."""


def chosen_kinds(kinds: Kind | str | Collection[Kind | str]) -> frozenset[Kind]:
    """Return the kinds of records that a caller names, one or several, in upper or lower case.

    Raises:
        ValueError: A name is no kind.
    """
    names = [str(kind).upper() for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    for name in names:
        if name not in set(Kind):
            raise ValueError(f"there is no kind {name!r}{suggestion(name, Kind)}; choose among {', '.join(Kind)}")
    return frozenset(map(Kind, names))


def chosen_method(method: str) -> CostMethod:
    """Return the cost method of this name.

    Raises:
        ValueError: There is none.
    """
    if method not in set(CostMethod):
        raise ValueError(f"no method {method!r}{suggestion(method, CostMethod)}; there are {', '.join(CostMethod)}")
    return CostMethod(method)


def chosen_sources(sources: str | Collection[str]) -> frozenset[str]:
    """Return the sources of records that a caller names, one or several."""
    return frozenset([sources] if isinstance(sources, str) else sources)


def whole_number(value: float, least: int, what: str) -> int:
    """Return a number of the caller.

    Raises:
        ValueError: It is not whole, or below the least one.
    """
    if not isinstance(value, int | float) or value != value // 1 or value < least:
        raise ValueError(f"{what} is {value!r}. What to do: give a whole number from {least} on")
    return int(value)


def check_instrument(name: str, journals: Sequence[Journal]) -> None:
    """Raise UnknownInstrumentError unless a session has an instrument of this name, or its instruments are unknown."""
    from analysis.market_rows import decoding_context

    known: set[str] = set()
    for journal in journals:
        context = decoding_context(journal)
        if context is None:
            return
        for instrument in context.body.instruments:
            if name in (names := {instrument.id, instrument.symbol, instrument.own_symbol or instrument.symbol}):
                return
            known |= names
    raise UnknownInstrumentError(f"no instrument {name!r}{suggestion(name, known)}; there are {_listed(known)}")


def _listed(names: Iterable[str], shown: int = 12) -> str:
    found = sorted(name for name in names if ":" not in name)
    return ", ".join(found[:shown]) + (f" and {len(found) - shown} more" if len(found) > shown else "")
