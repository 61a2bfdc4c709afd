"""A user's risk rule: named in the session file, recorded with its source, replayed from the record, and never a danger
to the engine.
"""

import json
import re
import sys
from pathlib import Path

import pytest
from by_hand import ByHand
from calm_venue import CalmVenue

import engine.risk.rules as rules_package
from engine.risk.rules import FIRST_RULES, RULES
from engine.session_record import RuleSettings, read_session
from engine.strategy.rule_loading import load_rules, recorded_rules
from engine.strategy.source_guard import StrategyError
from journal.reader import Journal
from journal.record import Kind
from replay.overrides import UnknownOverrideError, apply_overrides
from replay.replay import replay_session
from verbatim.config import read_config, session_config
from verbatim.config_sections import ConfigError
from verbatim.strategy_files import read_rule
from verbatim.testing import VirtualSession, strategy_settings

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = (ROOT / "examples/demo.toml").read_text(encoding="utf-8")
ONCE = Path(__file__).parent / "strategies" / "once.py"

SPREAD = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import RiskContext, RiskRule


@dataclass(frozen=True)
class Settings:
    spread_max: Decimal = Decimal(1)


def reject_reason(context: RiskContext, settings: Settings) -> str:
    spread = context.ask - context.bid
    return f"the spread {spread} is above {settings.spread_max}" if spread > settings.spread_max else ""


max_spread = RiskRule(reject_reason, Settings)
"""
CONFIGURED = '\n[rule.max_spread]\ncode = "house.spread:max_spread"\nsettings = { spread_max = "0.001" }\n'


PAGE = (ROOT / "docs/risk-rules.md").read_text(encoding="utf-8")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package `house` beside the session file, with the rule in it."""
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "spread.py").write_text(SPREAD)
    return tmp_path


def configured(base: Path, text: str) -> tuple[RuleSettings, ...]:
    path = base / "session.toml"
    path.write_text(SAMPLE.replace('file = "', f'file = "{ROOT / "examples"}/') + text)
    return session_config(read_config(path, {}), key=None, base=base).rules


def ran(base: Path, rules: tuple[RuleSettings, ...]) -> VirtualSession:
    session = VirtualSession(
        CalmVenue(), base / "s", strategies=[strategy_settings(ONCE, "Once", parameters={"orders": 2})], rules=rules
    )
    session.run(5).stop()
    return session


def answers(session: VirtualSession, rule: str) -> list[str]:
    return [json.loads(record.body or "")["rules"].get(rule, "") for record in session.kinds(Kind.VERDICT)]


def sent(session: VirtualSession) -> int:
    return sum('"place"' in (record.body or "") for record in session.kinds(Kind.REQUEST))


def test_a_users_rule_refuses_and_a_replay_runs_the_recorded_source(house: Path) -> None:
    rules = configured(house, CONFIGURED)
    session = ran(house, rules)
    assert answers(session, "max_spread")
    assert all(answer.endswith("is above 0.001") for answer in answers(session, "max_spread"))
    assert sent(session) == 0
    (house / "house" / "spread.py").write_text("raise SystemExit")
    recorded = read_session(Journal.open(session.folder).session_record().body or "")
    assert {rule.name for rule in recorded.rules} == {*RULES, "max_spread"}
    assert recorded.rules[-1].sources == {"spread": SPREAD}
    verdict = replay_session(session.folder)
    assert verdict.identical, verdict.text()


def test_a_users_rule_that_does_not_object_lets_the_order_out(house: Path) -> None:
    session = ran(house, configured(house, CONFIGURED.replace("0.001", "1000")))
    assert set(answers(session, "max_spread")) == {""}
    assert sent(session)


def test_a_setting_of_a_rule_can_be_changed_for_a_replay(house: Path) -> None:
    session = ran(house, configured(house, CONFIGURED))
    body = apply_overrides(session.body, {"rule.max_spread.spread_max": "1000"})
    assert body.rules[-1].settings == {"spread_max": "1000"}
    with pytest.raises(UnknownOverrideError, match=r"unknown setting 'spread' \(did you mean 'spread_max'\?\); known"):
        apply_overrides(session.body, {"rule.max_spread.spread": "1"})
    with pytest.raises(UnknownOverrideError, match="lists no risk rule 'other'"):
        apply_overrides(session.body, {"rule.other.x": "1"})


def test_a_session_records_every_built_in_rule_and_one_without_a_list_had_the_first_ones() -> None:
    assert [rule.name for rule in recorded_rules([])] == list(RULES)
    assert '"name":"order_type"' in ByHand().records[0].body
    assert load_rules(()).keys() == FIRST_RULES
    assert RULES.keys() > FIRST_RULES


LIMIT = """
from dataclasses import dataclass
from decimal import Decimal

from engine.risk.context import RiskContext, RiskRule


@dataclass(frozen=True)
class Settings:
    spread_max: Decimal = Decimal(0)


def reject_reason(context: RiskContext, settings: Settings) -> str:
    spread = context.ask - context.bid
    return f"the spread is {spread}" if settings.spread_max and spread > settings.spread_max else ""


RULES = (RiskRule(reject_reason, Settings, name="spread"),)
"""


def test_one_file_adds_a_built_in_rule(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is configured, recorded and replayed without a change elsewhere, and an older session replays without it."""
    older = ran(house / "older", ())
    (house / "spread_limit.py").write_text(LIMIT)
    monkeypatch.setattr(rules_package, "__path__", [*rules_package.__path__, str(house)])
    for name, rule in rules_package.discovered().items():
        monkeypatch.setitem(RULES, name, rule)
    monkeypatch.delitem(sys.modules, "engine.risk.rules.spread_limit")
    assert set(answers(ran(house / "default", ()), "spread")) == {""}
    session = ran(house, configured(house, '\n[rule.spread]\nsettings = { spread_max = "0.001" }\n'))
    assert all(answer.startswith("the spread is ") for answer in answers(session, "spread"))
    assert sent(session) == 0
    for each in (older, session):
        verdict = replay_session(each.folder)
        assert verdict.identical, verdict.text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CONFIGURED.replace("house.spread", "house.other"), "no module 'house.other' beside the configuration"),
        (CONFIGURED.replace(":max_spread", ""), "'house.spread' is not package.module:rule"),
        (CONFIGURED.replace(":max_spread", ":nothing"), "spread.py has no risk rule 'nothing'"),
        (
            CONFIGURED.replace("spread_max =", "spread ="),
            "unknown setting 'spread' (did you mean 'spread_max'?); known: spread_max",
        ),
        (CONFIGURED.replace('"0.001"', '"wide"'), "risk rule 'max_spread': "),
        (CONFIGURED.replace("[rule.max_spread]", "[rule.tick]"), "'tick' has the name of a built-in rule"),
        (
            "\n[rule.max_spread]\nsettings = {}\n",
            "there is no risk rule 'max_spread'; built in are account_open_orders, ",
        ),
        ("\n[rule.tick]\nsettings = { size = 1 }\n", "risk rule 'tick' has no settings, but 'size' is set"),
        (CONFIGURED.replace("[rule.max_spread]", "[rule.MAX]"), "rule.MAX"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_in_one_line(house: Path, text: str, said: str) -> None:
    with pytest.raises((StrategyError, ConfigError)) as found:
        configured(house, text)
    assert said in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("import os\n", "may not import 'os'"),
        ("import random\n", "may not import 'random'"),
        ("open('x')\n", "may not use 'open'"),
        ("from verbatim.runner import run\n", "may import from verbatim only"),
        ("1 // 0\n", "spread.py does not load: ZeroDivisionError"),
    ],
)
def test_what_a_strategy_may_not_do_a_rule_may_not_either(house: Path, head: str, said: str) -> None:
    (house / "house" / "spread.py").write_text(head + SPREAD)
    with pytest.raises(StrategyError, match=said):
        configured(house, CONFIGURED)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "the rule failed: TypeError"),
        ("return context.order.quantity / 0", "the rule failed: DivisionByZero"),
        ("return None", "the rule returned a NoneType, not a text"),
        ("SEEN.append(1)\n    return ''", "the rule changed spread.py SEEN: a rule keeps nothing between orders"),
    ],
)
def test_a_rule_that_fails_refuses_the_order_and_never_stops_the_engine(house: Path, body: str, said: str) -> None:
    text = (
        SPREAD.split("def reject_reason", maxsplit=1)[0]
        + "SEEN: list[int] = []\n\n\ndef max_spread(context: RiskContext) -> str:\n    "
    )
    (house / "house" / "spread.py").write_text(text + body.replace("1 / 0", "1 / ''") + "\n")
    session = ran(house, configured(house, CONFIGURED.partition("settings")[0]))
    assert answers(session, "max_spread")
    assert all(answer.startswith(said) for answer in answers(session, "max_spread")), answers(session, "max_spread")
    assert (sent(session), session.state.account.strategies.get("once").stopped_for) == (0, "")
    assert replay_session(session.folder).identical


def test_the_page_lists_every_rule_and_its_example_works(tmp_path: Path) -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.split("\n## ")[1], re.MULTILINE)) == RULES.keys()
    [code], [*_, text] = (re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("python", "toml"))
    (tmp_path / "house_rules.py").write_text(code)
    session = ran(tmp_path, configured(tmp_path, "\n" + text.replace("0.5", "0.001")))
    assert all(answer.endswith("is above 0.001") for answer in answers(session, "max_spread"))
    assert sent(session) == 0


def test_a_rule_is_also_found_where_python_looks(house: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(house))
    found = read_rule("max_spread", "house.spread:max_spread", base=tmp_path / "elsewhere")
    assert found.sources == {"spread": SPREAD}
