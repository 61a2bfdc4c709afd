"""An extension of griffe: the comment beside a field is its text on the pages of the API."""

import re

from griffe import Attribute, Docstring, Extension

COMMENT = re.compile(r"\s#\s(?P<text>.+)$")


class FieldComments(Extension):  # type: ignore[misc]  # griffe is an extra, which the check of types does not have
    """Give an attribute without a docstring the comment at the end of its line, otherwise the one above it."""

    def on_attribute(self, *, attr: Attribute, **_: object) -> None:
        """Read the comment of an attribute when it was loaded."""
        if attr.docstring is not None or attr.lineno is None or attr.endlineno is None:
            return
        lines = attr.lines_collection[attr.filepath]
        found = COMMENT.search(lines[attr.endlineno - 1])
        text = found["text"] if found else comment_above(lines, attr.lineno)
        if text and "noqa" not in text and not text.startswith("the fields below"):
            attr.docstring = Docstring(text[0].upper() + text[1:].rstrip(".") + ".", parent=attr)


def comment_above(lines: list[str], lineno: int) -> str:
    """Return the comment whose lines end right above a line, "" for none."""
    words: list[str] = []
    for line in reversed(lines[: lineno - 1]):
        if not line.strip().startswith("# "):
            break
        words.insert(0, line.strip().removeprefix("# "))
    return " ".join(words)
