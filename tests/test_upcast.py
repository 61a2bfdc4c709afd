"""Bodies of older sessions by hand: old names become today's, and an account's parts return to the old names for digests.

tests/test_journal_versions.py reads whole journals and bundles of older sessions.
"""

import copy
import json
from typing import Any

import pytest

from engine import upcast
from engine.upcast import OLDEST_SCHEMA, SCHEMA
from journal.record import Kind, Record, canonical

HALT = "binance_spot refused our key: no"
ACCOUNT: dict[str, Any] = {  # in the names of schema 2
    "orders": {"owing": ["o"], "live": {"o": {"ask_seq": 1, "asks": 2}}, "closed": {"c": {"ask_seq": 3, "asks": 4}}},
    "modes": {"distrust_seq": 5, "reasons": ["no book", HALT], "halted_for": HALT},
    "limits": {"by_venue": {"v": {"allowance": 6}}},
    "reconciling": {"fills_asked_ns": {"i": 7}},
    "timers": {"due_ns": {"ask.o": 8, "every.watch": 9, "watch.s": 10, "stop": 11}},
}


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        (Kind.INTENT, {"because": {"because": 1}}, {"rationale": {"because": 1}}),
        (Kind.FACT, {"fact": "balance", "asked_seq": 3}, {"fact": "balance", "query_seq": 3}),
        (Kind.FACT, {"fact": "strategy_woken", "strategy": "s"}, {"fact": "strategy_triggered", "strategy": "s"}),
        (
            Kind.FACT,
            {"fact": "mode", "mode": "halted", "reasons": [HALT]},
            {"fact": "mode", "mode": "halted", "reasons": [{"about": "", "code": "key_refused", "text": HALT}]},
        ),
        (Kind.TIMER, {"timer": "every.strategy.s", "due_ns": 1}, {"timer": "decide.s", "due_ns": 1}),
        (Kind.TIMER, {"timer": "watch.s", "due_ns": 1}, {"timer": "throttle.s", "due_ns": 1}),
        (
            Kind.CHECKPOINT,
            {"parts": {"market.watches": [1, "x"], "market.averages": [1, "y"]}},
            {"parts": {"market.triggers": [1, "x"], "market.indicators": [1, "y"]}},
        ),
        (Kind.NOTE, {"text": '"because": "asked_seq":'}, {"text": '"because": "asked_seq":'}),
    ],
)
def test_an_old_body_gets_todays_names(kind: Kind, old: dict[str, Any], new: dict[str, Any]) -> None:
    assert json.loads(upcast.body_text(kind, canonical(old))) == new
    assert upcast.body_text(kind, canonical(new)) == canonical(new)
    record = Record(1, 2, kind, "engine", body=canonical(old))
    assert json.loads(upcast.record(record).body or "") == new
    same = Record(1, 2, kind, "engine", body=canonical(new))
    assert upcast.record(same) is same


def test_a_session_of_today_is_not_read_again() -> None:
    text = f'{{"engine":{{"ask_every_ns":1}},"schema":{SCHEMA}}}'
    assert upcast.session_text(text) is text


def test_an_old_session_gets_todays_names_and_its_schema() -> None:
    old = {
        "engine": {"ask_every_ns": 1, "watch_every_ns": 2},
        "venues": [{"name": "v", "allowance": {}}],
        "strategies": [{"declared": {"cross": [], "move_ppm": 3, "compiled": True}}, {"declared": None}],
        "resimulated": {"modelled": True},
        "opening": {"account": copy.deepcopy(ACCOUNT), "market": {"averages": []}},
    }
    new = json.loads(upcast.session_text(canonical(old)))
    assert new["schema"] == OLDEST_SCHEMA
    assert new["engine"] == {"order_query_interval_ns": 1, "check_interval_ns": 2}
    assert new["venues"] == [{"name": "v", "rate_limits": {}}]
    assert new["strategies"][0]["declared"] == {"cross_over": [], "price_move_ppm": 3, "has_predicate": True}
    assert new["resimulated"] == {"is_backtest": True}
    assert new["opening"]["market"] == {"indicators": []}
    assert new["opening"]["account"]["orders"]["missing_fills"] == ["o"]


def test_an_account_in_todays_names_returns_to_those_that_its_digests_cover() -> None:
    new = upcast.account_values(copy.deepcopy(ACCOUNT))
    assert new["orders"]["live"]["o"] == {"query_seq": 1, "query_count": 2}
    assert [reason["code"] for reason in new["modes"]["reasons"]] == ["unclassified", "key_refused"]
    assert new["modes"]["halted_for"]["text"] == HALT
    assert new["timers"]["due_ns"] == {"query.o": 8, "check": 9, "throttle.s": 10, "stop": 11}
    for name, values in new.items():
        assert upcast.account_part_as_of(SCHEMA, name, copy.deepcopy(values)) == values
        assert upcast.account_part_as_of(OLDEST_SCHEMA, name, values) == ACCOUNT[name]


def test_a_replayed_mode_is_compared_without_the_codes_that_old_sessions_lack() -> None:
    body = {"fact": "mode", "mode": "syncing", "reasons": [{"code": "no_book", "text": "no book", "about": "i"}]}
    replayed = Record(1, 2, Kind.FACT, "engine", body=canonical(body))
    [reason] = json.loads(upcast.comparable(OLDEST_SCHEMA, replayed).body or "")["reasons"]
    assert reason == {"about": "", "code": "unclassified", "text": "no book"}
    other = Record(1, 2, Kind.FACT, "engine", body='{"fact":"reconciled"}')
    assert upcast.comparable(OLDEST_SCHEMA, other) is other
