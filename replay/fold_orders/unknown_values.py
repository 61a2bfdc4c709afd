"""Values that a run with orders in the fold does not know, in the objects that a Python strategy reads."""

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from replay.fold_orders.foldable import CannotFoldError, needs_ordinary_way

# what an id may be used for: everything else of `str` reads its content
USES_OF_ID: Final = frozenset({
    "__new__", "__init__", "__getattribute__", "__eq__", "__ne__", "__hash__", "__repr__", "__str__", "__format__",
    "__doc__",
})  # fmt: skip
ID_TYPE: Final = "IdOfTheFold"


class Refusals:
    """The reads of a strategy that the fold cannot answer. The first one ends the run, even if it is caught."""

    def __init__(self) -> None:
        self.first: CannotFoldError | None = None

    def refuse(self, what: str) -> NoReturn:
        """Note what the strategy read. Raises CannotFoldError."""
        error = needs_ordinary_way(f"{what} is not known in it")
        self.first = self.first or error
        raise error


def unreadable_id(what: str, refusals: Refusals) -> type[str]:
    """Return a kind of text that differs from the ordinary way's.

    It can be compared, printed and given back to the engine. Anything else refuses the run; a State cannot hold it.
    """

    def refuse(_text: str, *_given: Any, **_named: Any) -> NoReturn:
        refusals.refuse(f"the content of {what}")

    names = vars(str).keys() - USES_OF_ID
    return type(ID_TYPE, (str,), {**dict.fromkeys(names, refuse), "__bool__": lambda _text: True})


def without_fields(kind: Any, names: Sequence[str], what: str, refusals: Refusals) -> Any:
    """Return a kind of struct that refuses the run when one of these fields, or its text, is read."""

    def refusing(field: str) -> property:
        return property(lambda _value: refusals.refuse(f"`{field}` of {what}"))

    def refuse_text(_value: Any) -> str:
        refusals.refuse(f"the text of {what}")

    own = {name: refusing(name) for name in names}  # each hides the field of `kind`
    return type(kind)(kind.__name__, (kind,), {**own, "__repr__": refuse_text}, frozen=True)
