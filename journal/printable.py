"""Foreign text for people: texts of venues, strategies and files, without characters that a terminal obeys."""

import re

ELLIPSIS = "…"
# C0 except tab and newline, DEL and C1, invisible and bidirectional controls, separators, surrogates, tags
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def in_one_line(text: str) -> str:
    r"""Return a text whose line breaks, tabs and runs of spaces are single spaces.

    >>> in_one_line("lunch\n  break")
    'lunch break'
    """
    return " ".join(text.split())


def join_lines(text: str) -> str:
    r"""Return a text whose line breaks are spaces. Other spaces stay, as those between columns.

    >>> join_lines("OK   key\nOK   user")
    'OK   key OK   user'
    """
    return text if text.isprintable() else " ".join(text.splitlines())


def counted(count: int, name: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "fill"), counted(2_000, "fill")
    ('1 fill', '2,000 fills')
    """
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def printable(text: str, limit: int | None = None) -> str:
    r"""Return a text with each unfit character as its JSON escape, so that JSON stays JSON.

    >>> printable("red \x1b[31m")
    'red \\u001b[31m'

    Args:
        text: Any text.
        limit: Characters at most; a longer text ends with an ellipsis.
    """
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + ELLIPSIS
    return text if text.isascii() and text.isprintable() else _UNFIT.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
