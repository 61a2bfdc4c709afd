"""The known name that a misspelt one most likely means, for every message that refuses a name that a person wrote."""

from collections.abc import Iterable
from difflib import get_close_matches

NEAR_MAX = 3
LIKENESS_MIN = 0.75  # of 1: two transposed letters of four; BTCUSDT and ETHUSDT have 0.71


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most like a name, the likeliest first. Case does not matter."""
    by_folded = {str(each).casefold(): str(each) for each in sorted(known)}
    folded = get_close_matches(name.casefold(), by_folded, n=NEAR_MAX, cutoff=LIKENESS_MIN)
    return [by_folded[each] for each in folded]


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'NAME'?)" for the likeliest known name, or "" without one."""
    near = nearest(name, known)
    return f" (did you mean {near[0]!r}?)" if near else ""
