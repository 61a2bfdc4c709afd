"""The calls of a public client and the simulated venue's answers, one row each. Runs in the client's own environment."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")
MARK = "CALLS "  # before the rows, on the last line of a client's output


class Calls:
    """Makes calls, checks their answers, and keeps a row for each.

    Args:
        address: The venue's address.
        code_of: Returns the venue's code from the client's exception, or None for another exception.
    """

    def __init__(self, address: str, code_of: Callable[[Exception], int | None]) -> None:
        self.rows: list[tuple[str, str]] = []
        self._address = address
        self._code_of = code_of

    def answers(
        self, name: str, call: Callable[[], Result], check: Callable[[Result], object] = lambda _: True
    ) -> Result:
        """Make a call that the venue answers; `check` must be true of its result."""
        try:
            result = call()
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
        self.verify(name, result, check)
        return result

    async def awaits(self, name: str, call: Any, check: Callable[[Any], object] = lambda _: True) -> Any:
        """Await a call that the venue answers."""
        try:
            result = await call
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
        self.verify(name, result, check)
        return result

    def verify(self, name: str, result: Result, check: Callable[[Result], object]) -> None:
        """Add the row of an answer, which `check` must accept."""
        assert check(result), f"{name}: {result}"
        self.rows.append((name, "answered"))

    def refuses(self, name: str, code: int, call: Callable[[], Any]) -> None:
        """Make a call that the venue refuses with a code."""
        found: Any = None
        try:
            found = call()
        except Exception as error:  # each client has its own kinds
            found = error
        refused = isinstance(found, Exception) and self._code_of(found) == code
        assert refused, f"{name}: {type(found).__name__}: {found}"
        self.rows.append((name, "refused: not implemented" if code == -1020 else f"refused: {code}"))

    def trade(self, symbol: str, price: float, quantity: str = "0.01", *, sells: bool = True) -> None:
        """Let the market trade at a price."""
        body = {"symbol": symbol, "price": f"{price:.2f}", "quantity": quantity, "buyer_is_maker": sells}
        request = urllib.request.Request(f"{self._address}/sim/feed", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def print(self) -> None:
        """Print the rows for run.py."""
        print(MARK + json.dumps(self.rows))
