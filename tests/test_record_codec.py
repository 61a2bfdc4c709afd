"""Bodies as text: the written form is canonical JSON, and reading returns the value that was written."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest

from engine import bodies, facts, record_codec
from engine.facts import Fact, NewOrder
from engine.lifecycle import Report
from engine.mode_reasons import Mode, ModeReason, ReasonCode, joined, key_refused, texts
from engine.model import OrderType, Side
from engine.plan_terms import Chase, MarketLimits
from engine.requests import LinkPlan, LinkRole, Purpose, Transport, Unsigned
from journal.record import canonical

ORDER = NewOrder("binance_spot:BTCUSDT", Side.BUY, OrderType.LIMIT, Decimal("1.50"), Decimal("90.10"))
UNSIGNED = Unsigned(Transport.REST, "POST", "/api/v3/order", (("side", "BUY"),), signed=True, orders=1)
BODIES: list[tuple[msgspec.Struct, Callable[[str], Any]]] = [
    (
        bodies.IntentBody(bodies.IntentKind.PLACE, "s", "1", ORDER, rationale={"b": 1, "a": "x"}),
        record_codec.read_intent,
    ),
    (bodies.VerdictBody(approved=False, rules={"tick": "", "lot": "no"}), record_codec.read_verdict),
    (bodies.RequestBody(Purpose.PLACE, "v", True, 5, 6, UNSIGNED, order=ORDER), record_codec.read_request),
    (
        bodies.RequestBody(Purpose.CONNECT, "v", False, 5, 6, link=LinkPlan("v.market.0", LinkRole.MARKET, "/ws")),
        record_codec.read_request,
    ),
    (bodies.TimerBody("query.x", 7, missed=1), record_codec.read_timer),
    (bodies.CommandBody(bodies.CommandName.HALT, "alice", "why"), record_codec.read_command),
    (bodies.LinkBody(bodies.LinkEvent.CLOCK, drift_ns=-5), record_codec.read_link),
    (bodies.NoteBody(bodies.NoteLevel.ALARM, 'quote " and ü'), record_codec.read_note),
    (bodies.CheckpointBody(9, {"orders": (1, "ab")}), record_codec.read_checkpoint),
    (facts.OrderClosed("o", Report.CANCELED, Decimal("0.50"), "r", 3), record_codec.read_fact),
    (facts.OrderAdopted("o", "7", ORDER, Decimal(0)), record_codec.read_fact),
    (facts.FillsConfirmed("i", "TX1"), record_codec.read_fact),
    (facts.ModeChanged(Mode.SYNCING, (ModeReason(ReasonCode.NO_BOOK, "no book", "i"),)), record_codec.read_fact),
]


@pytest.mark.parametrize(("body", "read"), BODIES, ids=lambda value: type(value).__name__)
def test_a_body_is_written_as_canonical_json_and_read_back(body: msgspec.Struct, read: Callable[[str], Any]) -> None:
    text = record_codec.text_of(body)
    assert canonical(json.loads(text)) == text, "sorted keys, no spaces"
    assert read(text) == body


def test_a_field_at_its_default_is_left_out() -> None:
    assert record_codec.text_of(bodies.TimerBody("check", 7)) == '{"due_ns":7,"timer":"check"}'
    assert record_codec.text_of(bodies.CommandBody(bodies.CommandName.STOP)) == '{"command":"stop"}'


def test_every_fact_is_read_by_its_own_tag() -> None:
    tags = {kind.__struct_config__.tag: kind for kind in get_args(Fact)}
    assert len(tags) == len(get_args(Fact))
    for tag in tags:
        assert record_codec.fact_tag(f'{{"fact":"{tag}","x":1}}') == tag
    with pytest.raises(msgspec.ValidationError, match="of_another_version"):
        record_codec.read_fact('{"fact":"of_another_version"}')


def test_a_purpose_is_read_without_the_rest() -> None:
    assert record_codec.purpose_of('{"purpose":"fills","other":[1]}') is Purpose.FILLS


def test_several_reasons_become_one_with_the_code_of_the_first() -> None:
    one, other = key_refused("v", "no"), ModeReason(ReasonCode.NO_QUOTE, "no quote", "i")
    assert (one.code, one.text, one.about) == (ReasonCode.KEY_REFUSED, "v refused our key: no", "v")
    assert joined([one]) is one
    assert joined([other, one]) == ModeReason(ReasonCode.NO_QUOTE, "no quote; v refused our key: no", "i")
    assert texts([]) == ""


@pytest.mark.parametrize("numbers", [("0", "10", "10.50"), ("-0.00", "1E+3", "1E-9"), ("-0", "0.000", "-3.10")])
def test_the_figures_of_an_approval_are_written_as_any_other_mapping(numbers: tuple[str, str, str]) -> None:
    figure = (Decimal(numbers[0]), Decimal(numbers[1]), Decimal(numbers[2]))
    verdict = bodies.VerdictBody(approved=True, rules={}, figures={'of "%s"': figure, "a": figure})
    assert record_codec.text_of(verdict) == f'{{"approved":true,"figures":{canonical(verdict.figures)},"rules":{{}}}}'
    refused = msgspec.structs.replace(verdict, approved=False, rules={"lot": "no"}, strategy="s")
    assert f'"figures":{canonical(verdict.figures)},' in record_codec.text_of(refused)


def test_an_orders_text_is_its_own_however_often_it_is_written() -> None:
    other = msgspec.structs.replace(ORDER, quantity=Decimal("1.5"), reduce_only=True)
    texts_of = [canonical(each) for each in (ORDER, ORDER, other, ORDER, other, other)]
    assert texts_of[0] == texts_of[1] == texts_of[3] != texts_of[2] == texts_of[4] == texts_of[5]
    assert json.loads(texts_of[2]) == {**json.loads(texts_of[0]), "reduce_only": True}


def test_names_and_values_of_a_request_are_escaped_as_any_other_text() -> None:
    params = (("side", "BUY"), ('quote "', "\n\x7f\u2028é\\"), ("lone", "\ud800"))
    pairs = ",".join(f"[{canonical(name)},{canonical(value)}]" for name, value in params)
    assert canonical(params) == f"[{pairs}]"
    assert canonical(params[:2]) == f"[{pairs.rpartition(',[')[0]}]"


def test_numbers_and_texts_of_a_strategy_are_written_by_their_own_types() -> None:
    """It may give 500 for Decimal(500), and an id of another class of texts."""

    class Name(str):
        __slots__ = ()

    given: Any = {"offset": 500, "market": MarketLimits(cost_max=0.5)}  # type: ignore[arg-type]  # a strategy is not checked
    written = json.loads(canonical(Chase("i", Side.BUY, Decimal(1), **given)))
    assert (written["offset"], written["market"]["cost_max"]) == (500, 0.5)
    unsigned = Unsigned(Transport.REST, "POST", "/order", (("id", Name("a")),), signed=True)
    assert json.loads(canonical(unsigned))["params"] == [["id", "a"]]
