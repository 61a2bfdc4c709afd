"""Docstrings, comments, messages, documents and names keep to words.md: no count of tests/house_words.py may rise."""

from collections.abc import Iterator

import house_words
import pytest
from house_vocabulary import PHRASES
from house_words import CEILINGS, CHECKS, TARGETS, figure, findings, first_sentence, is_verb_first, phrases_in

SHOWN = 15  # findings in a failure message; the command in it lists all


@pytest.fixture(autouse=True, scope="module")
def _sources_end_here() -> Iterator[None]:
    yield
    house_words.forget_sources()


@pytest.mark.parametrize("kind", CEILINGS)
def test_no_count_is_above_its_ceiling(kind: str) -> None:
    """A cleanup lowers the ceiling in tests/house_words.py; nothing raises it."""
    count = figure(kind)
    shown = "\n".join(str(finding) for finding in findings(kind)[-SHOWN:])
    command = f"python tests/house_words.py --list {kind}"
    assert count <= CEILINGS[kind], f"{kind}: {count:g}, ceiling {CEILINGS[kind]:g}; `{command}` lists all:\n{shown}"


def test_each_target_has_a_ceiling() -> None:
    assert TARGETS.keys() <= CEILINGS.keys() <= CHECKS.keys()


def test_each_exemption_covers_something_and_has_a_reason() -> None:
    assert house_words.unused_exemptions() == []
    assert not [entry for entry in house_words.ALLOWED if len(entry.reason.split()) < 4]


def test_what_is_measured_was_found() -> None:
    """An empty tree has no findings either."""
    assert len(house_words.product_sources()) > 150
    assert len(house_words.other_sources()) > 80
    assert len(house_words.documents()) > 8
    assert len(findings("function-docstring")) > 500


def banned(text: str) -> set[str]:
    return {finding.kind.partition("/")[2] for finding in phrases_in("product-phrases", "file.py", 1, text)}


@pytest.mark.parametrize(
    "text",
    [
        "Asked over the account's connection; the answer comes as a frame of it, or the link goes down.",
        "Lets go what became durable, while the session lasts",
        "The link stands again: whatever comes from here on is taken.",
        "`*` is the only one there is. None where there is no such, or no only one.",
        "newest word, taken as it stands, unless the venue itself dates it before what we know",
        "Such a moment is lived line by line.",
        "Takes down a venue's market streams",
        "outdoes the configuration",
        "For who keeps only what led to something: what is decided is the same.",
        "so that it can leave, so that the next one can",
    ],
)
def test_a_banned_phrase_is_found(text: str) -> None:
    assert banned(text)


@pytest.mark.parametrize(
    "text",
    [
        "`*` matches if the session has exactly one instrument. Return None if nothing matches.",
        "Send over the private websocket. The reply arrives as a frame, or the link drops.",
        "Apply a streamed balance unless its venue timestamp is older than ours.",
        "Send requests whose records are now durable. No-op after close().",
        "the journal contains no orders to estimate latency from",
        "USDT stands for Tether; cannot open the capture: no such file",
        "What if the venue refuses? The order is rejected, so that the strategy sees it.",
        "The code `told` in backticks does not count, nor does the best ask.",
    ],
)
def test_plain_text_is_clean(text: str) -> None:
    assert banned(text) == set()


def test_a_finding_names_its_line() -> None:
    [finding] = phrases_in("product-phrases", "file.py", 10, "Plain first line.\nThe order lies there.")
    assert (finding.line, finding.kind) == (11, "product-phrases/lies")


def test_phrase_names_are_distinct_and_have_hints() -> None:
    assert len({phrase.name for phrase in PHRASES}) == len(PHRASES)
    assert all(phrase.hint for phrase in PHRASES)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Return the best bid.", True),
        ("Record a venue's market streams.", True),
        ("Re-send the frame.", True),
        ("Set the price.", True),
        ("Close the link's open gap.", True),
        ("Return of the order.", True),
        ("Set of price levels.", False),
        ("Records a venue's streams.", False),
        ("Lets go what became durable.", False),
        ("The best bid.", False),
        ("Whether the book is synchronised.", False),
        ("Price at which the order rests.", False),
        ("`step` folds a record.", False),
        ("", False),
    ],
)
def test_a_verb_comes_first(docstring: str, *, expected: bool) -> None:
    assert is_verb_first(docstring) is expected


def test_the_first_sentence_ends_at_its_full_stop() -> None:
    assert first_sentence("Return x\nof y. Then more.\n\nArgs: z") == "Return x of y."
    assert first_sentence("Read engine/live.py first") == "Read engine/live.py first"
